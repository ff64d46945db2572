//! The probe engine's counts in the lab, from the benchmark that measures it: with few probes, and only results that do
//! not depend on timing.

use super::scenarios::lab;
use serde_json::Value;

#[test]
fn every_delivered_reply_is_counted_once_and_each_loss_on_its_way() {
    let out = lab()
        .args(["bench", "probe", "--json", "--rounds", "1", "--probes", "300000"])
        .args(["--directions", "20", "--idle-seconds", "1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    let report: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", String::from_utf8_lossy(&out.stderr)));
    for trial in report["losses"].as_array().unwrap() {
        assert_eq!(trial["miscounts"], 0, "{trial}");
        assert!(trial["sent"].as_u64().unwrap() > 0 && trial["delivered"].as_u64().unwrap() > 0, "{trial}");
    }
    for rate in report["rates"].as_array().unwrap() {
        assert_eq!(rate["false_losses"], 0, "{rate}");
    }
    let directions = &report["directions"];
    assert_eq!(directions["exact"], directions["runs"], "{directions}");
    assert!(directions["dropped"].as_u64().unwrap() > 0, "{directions}");
    let observer = &report["observer"];
    let (seen, drops) = (observer["seen"].as_u64().unwrap(), observer["own_drops"].as_u64().unwrap());
    let arrivals = observer["arrivals"].as_u64().unwrap();
    assert!(seen <= arrivals && seen + drops >= arrivals, "{observer}");
}
