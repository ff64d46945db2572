//! An estate that agents read, each its own VPC, is the estate that one reader of everything sees.

use super::*;
use pingtong_worlds::scoped;
use std::collections::BTreeMap;

fn parts(snapshots: &[Snapshot]) -> Vec<Snapshot> {
    snapshots.iter().flat_map(scoped::by_vpc).collect()
}

/// The fate of every packet that the estate can be asked about, by VPC and address.
fn fates(estate: &Estate) -> BTreeMap<String, String> {
    let hosts: Vec<HostRef> = estate.hosts().collect();
    let name = |host: HostRef| format!("{} {}", estate.vpc(host).unwrap(), estate.address(host).unwrap());
    let mut fates = BTreeMap::new();
    for source in &hosts {
        for destination in hosts.iter().filter(|destination| *destination != source) {
            for (protocol, port) in [SERVICES[0], SERVICES[1]] {
                let flow = Flow { source: *source, destination: *destination, protocol, port };
                let RoundTrip { request, reply } = estate.walk(&flow).unwrap();
                let key = format!("{} > {} {protocol}", name(*source), name(*destination));
                fates.insert(key, format!("{:?} {:?}", kind(request), kind(reply)));
            }
        }
    }
    fates
}

#[test]
fn parts_are_as_good_as_the_whole() {
    let mut walked = 0;
    for seed in 0..SEEDS {
        let (snapshots, whole) = small(seed);
        let estate = Estate::new(parts(&snapshots), &[]);
        let expected = fates(&whole);
        assert_eq!(fates(&estate), expected, "seed {seed}");
        walked += expected.len();
    }
    assert!(walked > 10_000, "{walked}");
}

#[test]
fn a_part_that_is_read_again_replaces_that_part_only() {
    for seed in 0..SEEDS {
        let (mut snapshots, _) = small(seed);
        let mut estate = Estate::new(parts(&snapshots), &[]);
        for snapshot in &mut snapshots {
            let Known::Known(groups) = &mut snapshot.security_groups else { continue };
            for group in groups {
                if let Known::Known(rules) = &mut group.rules {
                    rules.clear();
                }
            }
        }
        for snapshot in &mut snapshots {
            snapshot.taken_at = Timestamp::from_millis(snapshot.taken_at.as_millis() + 60_000);
        }
        for part in parts(&snapshots) {
            estate.refresh(part);
        }
        assert_eq!(fates(&estate), fates(&Estate::new(snapshots, &[])), "seed {seed}");
    }
}

#[test]
fn a_newer_reading_of_one_vpc_counts_beside_an_older_one_of_all() {
    let (snapshots, whole) = small(3);
    let mut parts = parts(&snapshots);
    for snapshot in &snapshots {
        parts.push(Snapshot { covers: Some(Coverage::All), ..snapshot.clone() });
    }
    assert_eq!(fates(&Estate::new(parts, &[])), fates(&whole));
}
