//! Whether two readings of one account and region tell of a change in the configuration.
//!
//! How, when and in which order things were read is no change; neither is that a part could be read only once. Feeds the
//! rule that probes within the settling time of a change prove nothing (`network-semantics.md` §1.3).

use pingtong_evidence::{Known, Provenance, Snapshot, WhyUnknown};
use std::fmt::Debug;

/// Whether a part that both readings know differs.
fn differs<T: Clone + Debug>(before: &Known<Vec<T>>, after: &Known<Vec<T>>, bare: impl Fn(&mut T)) -> bool {
    let (Known::Known(before), Known::Known(after)) = (before, after) else { return false };
    let told = |list: &[T]| {
        let one = |item: &T| {
            let mut item = item.clone();
            bare(&mut item);
            format!("{item:?}")
        };
        let mut told: Vec<String> = list.iter().map(one).collect();
        told.sort_unstable();
        told
    };
    told(before) != told(after)
}

/// A reason names a request, which is another one each time.
fn forget_why<T>(known: &mut Known<T>) {
    if let Known::Unknown(why) = known {
        *why = WhyUnknown::NotAsked;
    }
}

/// Whether anything that packets depend on changed from one reading to the next.
pub(crate) fn changed(before: &Snapshot, after: &Snapshot) -> bool {
    let none = Provenance::default();
    differs(&before.vpcs, &after.vpcs, |x| x.provenance = none)
        || differs(&before.vswitches, &after.vswitches, |x| x.provenance = none)
        || differs(&before.route_tables, &after.route_tables, |x| {
            x.provenance = none;
            x.vswitches.sort();
            forget_why(&mut x.entries);
            if let Known::Known(entries) = &mut x.entries {
                for entry in entries.iter_mut() {
                    entry.provenance = none;
                }
                entries.sort_by_key(|entry| entry.destination);
            }
        })
        || differs(&before.router_interfaces, &after.router_interfaces, |x| x.provenance = none)
        || differs(&before.vpc_peerings, &after.vpc_peerings, |x| x.provenance = none)
        || differs(&before.transit_attachments, &after.transit_attachments, |x| x.provenance = none)
        || differs(&before.transit_peerings, &after.transit_peerings, |x| x.provenance = none)
        || differs(&before.transit_route_tables, &after.transit_route_tables, |x| {
            x.provenance = none;
            forget_why(&mut x.routes);
            forget_why(&mut x.associations);
            forget_why(&mut x.propagations);
        })
        || differs(&before.network_acls, &after.network_acls, |x| {
            x.provenance = none;
            x.vswitches.sort();
            forget_why(&mut x.ingress);
            forget_why(&mut x.egress);
        })
        || differs(&before.security_groups, &after.security_groups, |x| {
            x.provenance = none;
            forget_why(&mut x.rules);
            forget_why(&mut x.inner_access);
            if let Known::Known(rules) = &mut x.rules {
                rules.sort_by_cached_key(|rule| format!("{rule:?}"));
            }
        })
        || differs(&before.prefix_lists, &after.prefix_lists, |x| {
            x.provenance = none;
            forget_why(&mut x.entries);
        })
        || differs(&before.instances, &after.instances, |x| x.provenance = none)
        || differs(&before.enis, &after.enis, |x| x.provenance = none)
}
