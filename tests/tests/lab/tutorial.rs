//! Goes through the tutorial as its reader does. After each step the checklist of `pingtong verify` must show exactly
//! the steps that are done, and must name the next one and who must do it.

use super::scenarios::{lab, lab_runs};
use serde_json::Value;

const A: &str = "account 1000000000000001";
const B: &str = "account 1000000000000002";

/// For each number of steps done: the last step of the checklist that is done, and texts that the next step must
/// contain.
type After = (u64, [&'static str; 2]);

fn check(topology: &str, lang: &str, expected: &[After; 7]) {
    if !lab_runs() {
        return;
    }
    let out = lab().args(["tutorial", topology, "--json", "--lang", lang]).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}\n{}", String::from_utf8_lossy(&out.stderr));
    let moments: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(moments.len(), expected.len(), "{text}");
    for (moment, (last_done, next)) in moments.iter().zip(*expected) {
        let when = format!("{topology}, step {} done", moment["done"]);
        let [verdict] = moment["verdicts"].as_array().unwrap().as_slice() else { panic!("{when}: one pair") };
        for step in verdict["steps"].as_array().unwrap() {
            let n = step["n"].as_u64().unwrap();
            let all_done = last_done == 8;
            let state = match n {
                n if n <= last_done => "ok",
                8 if !all_done => "unknown",
                _ => "not-done",
            };
            assert_eq!(step["state"], state, "{when}: step {n}: {step}");
            page_has(moment, n, step["name"].as_str().unwrap(), state, lang, &when);
        }
        let said = verdict["next_step"].as_str().unwrap_or_default();
        for words in next {
            assert!(
                said.contains(words) && said.is_empty() == words.is_empty(),
                "{when}: \"{said}\" lacks \"{words}\""
            );
        }
        assert_eq!(verdict["state"], if last_done == 8 { "healthy" } else { "broken" }, "{when}");
        // The page has a next step as long as a step is left.
        let heading = if lang == "zh" { "下一步" } else { "Next step" };
        let page = moment["page"].as_str().unwrap();
        assert_eq!(page.contains(heading), last_done < 8, "{when}: {page}");
    }
}

/// Checks the line of a step on the page: its mark, and "not done" if the step is not done.
fn page_has(moment: &Value, n: u64, name: &str, state: &str, lang: &str, when: &str) {
    let page = moment["page"].as_str().unwrap();
    let mark = match state {
        "ok" => '✓',
        "unknown" => '?',
        _ => '✗',
    };
    let line = page.lines().find(|line| line.contains(&format!("{mark} {n} {name}")));
    let line = line.unwrap_or_else(|| panic!("{when}: no line \"{mark} {n} {name}\" in\n{page}"));
    let note = if lang == "zh" { "未做" } else { "not done" };
    assert_eq!(line.contains(note), state == "not-done", "{when}: {line}");
}

const ROUTER_INTERFACES: [After; 7] = [
    (0, ["1000000000000001", "CreateRouterInterface --RegionId cn-qingdao"]),
    (1, ["1000000000000002", "CreateRouterInterface --RegionId cn-beijing"]),
    (2, ["1000000000000002", "ModifyRouterInterfaceAttribute --RegionId cn-beijing"]),
    (3, ["1000000000000001", "ModifyRouterInterfaceAttribute --RegionId cn-qingdao"]),
    (4, ["1000000000000001", "CreateRouteEntry --RegionId cn-qingdao"]),
    (5, ["1000000000000001", "AuthorizeSecurityGroup --RegionId cn-qingdao"]),
    (8, ["", ""]),
];

#[test]
fn of_router_interfaces_in_english() {
    check("tutorial", "en", &ROUTER_INTERFACES);
}

#[test]
fn of_router_interfaces_in_chinese() {
    check("tutorial", "zh", &ROUTER_INTERFACES);
}

/// One connection serves both sides: there is nothing to add in steps 3 and 4.
#[test]
fn of_a_vpc_peering_connection() {
    check(
        "vpc-peering",
        "en",
        &[
            (0, [A, "CreateVpcPeerConnection"]),
            (1, [B, "AcceptVpcPeerConnection"]),
            (4, [A, "CreateRouteEntry"]),
            (4, [A, "CreateRouteEntry"]),
            (4, [A, "CreateRouteEntry"]),
            (5, [A, "AuthorizeSecurityGroup"]),
            (8, ["", ""]),
        ],
    );
}

/// Steps 1 to 4 of transit routers: attach both VPCs, associate both attachments, learn routes from both.
#[test]
fn of_a_transit_router() {
    check(
        "transit-router",
        "en",
        &[
            (0, [A, "attach the initiator's VPC"]),
            (1, [B, "attach the acceptor's VPC"]),
            (2, [A, "AssociateTransitRouterAttachmentWithRouteTable"]),
            (3, [A, "CreateTransitRouterRouteEntry"]),
            (4, [A, "CreateRouteEntry"]),
            (5, [A, "AuthorizeSecurityGroup"]),
            (8, ["", ""]),
        ],
    );
}
