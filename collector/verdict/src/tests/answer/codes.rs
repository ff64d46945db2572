//! The cause catalogue compared with the published list of codes that scripts rely on.

use crate::CauseCode;

/// The published codes, in the catalogue's order.
const LIST: &str = "account-not-visible config-denied config-stale cidr-overlap ri-missing ri-wrong-region ri-wrong-vpc \
ri-role-conflict ri-opposite-unset ri-opposite-mismatch ri-not-connected ri-connecting ri-inactive ri-financial-locked \
ri-security-locked peering-not-active route-missing route-wrong-cidr route-wrong-next-hop route-wrong-table route-shadowed \
route-not-available ecmp-leg-dead route-loop route-not-transitive sg-ingress-missing sg-egress-blocked sg-drop-wins \
sg-wrong-protocol sg-wrong-cidr sg-wrong-direction sg-group-source-cross-vpc sg-not-attached sg-prefix-list \
nacl-ingress-blocked nacl-egress-blocked instance-stopped ip-not-on-eni guest-firewall guest-echo-ignored \
guest-route-missing guest-route-overlap guest-rp-filter guest-multi-eni guest-rate-limit guest-nat host-overload \
stranger-replied agent-in-container probe-not-permitted agent-silent clock-skew bandwidth-saturated loss-in-fabric latency-shift \
mtu-black-hole fabric-fault model-contradicted";

#[test]
fn the_codes_are_the_published_list() {
    let ours: Vec<&str> = CauseCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(ours, LIST.split_whitespace().collect::<Vec<_>>());
    for code in CauseCode::ALL {
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
    }
}
