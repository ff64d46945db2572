//! The largest packet that passes, as a finding of `doctor`.

use super::{Finding, Standing};
use crate::{Lang, check::path_size::words};
use pingtong_probe::{PathSize, SizeVerdict};

/// The result as a finding of `doctor`. A path without replies and an unsettled search say nothing about sizes.
pub(super) fn finding(size: &PathSize) -> Finding {
    let standing = match size.verdict() {
        SizeVerdict::Whole | SizeVerdict::Told => Standing::Good,
        SizeVerdict::BlackHole => Standing::Wrong,
        SizeVerdict::Dead | SizeVerdict::Unsettled | SizeVerdict::NotSearched => Standing::Unknown,
    };
    let passes = size.bounds.map_or(size.mtu, |bounds| bounds.passes);
    let next = match standing {
        Standing::Wrong => format!("ip link set dev eth0 mtu {passes}"),
        Standing::Good | Standing::Unknown => format!("pingtong-agent check {} --path-size", size.target),
    };
    Finding::new("path-size", standing, words(size, Lang::Zh), words(size, Lang::En), &next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::path_size::as_json;
    use pingtong_probe::SizeBounds;

    #[test]
    fn every_result_is_a_finding_with_its_standing() {
        let size = |bounds, told: &[&str], alive| PathSize {
            target: "10.0.0.2".parse().unwrap(),
            mtu: 1_500,
            bounds,
            told_by: told.iter().map(|by| by.parse().unwrap()).collect(),
            alive,
        };
        let smaller = Some(SizeBounds { passes: 1_400, dies: Some(1_401) });
        let whole = Some(SizeBounds { passes: 1_500, dies: None });
        let cases = [
            (size(whole, &[], true), Standing::Good, "whole"),
            (size(smaller, &["10.0.0.1"], true), Standing::Good, "fragmentation-needed"),
            (size(smaller, &[], true), Standing::Wrong, "black-hole"),
            (size(None, &[], false), Standing::Unknown, "dead"),
            (size(None, &[], true), Standing::Unknown, "unsettled"),
        ];
        for (size, standing, code) in cases {
            let finding = finding(&size);
            assert_eq!((finding.standing, as_json(&size)["verdict"].as_str()), (standing, Some(code)));
            assert_eq!(finding.next.is_some(), standing != Standing::Good, "{code}");
            assert_ne!(finding.zh, finding.en);
        }
        assert_eq!(finding(&size(smaller, &[], true)).next.unwrap(), "ip link set dev eth0 mtu 1400");
    }
}
