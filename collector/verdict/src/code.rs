//! The closed list of cause codes. Scripts depend on the codes: none is ever renamed.

use pingtong_evidence::Side;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

macro_rules! codes {
    ($($name:ident = $text:literal, $initiator:expr, $acceptor:expr;)+) => {
        /// A code of the catalogue.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum CauseCode {
            $(#[doc = $text] $name,)+
        }

        impl CauseCode {
            /// Every code, in the catalogue's order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as users and scripts write it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The step of the tutorial that the cause belongs to if its object is at `side`; `None` if it belongs to
            /// no step.
            pub fn step(self, side: Side) -> Option<u8> {
                let (initiator, acceptor): (Option<u8>, Option<u8>) = match self {
                    $(Self::$name => ($initiator, $acceptor),)+
                };
                match side { Side::Initiator => initiator, Side::Acceptor => acceptor }
            }
        }

        impl FromStr for CauseCode {
            type Err = UnknownCode;
            fn from_str(text: &str) -> Result<Self, UnknownCode> {
                match text { $($text => Ok(Self::$name),)+ _ => Err(UnknownCode(text.to_owned())) }
            }
        }
    };
}

/// A text that is not a cause code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCode(String);

impl fmt::Display for UnknownCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\" is not a cause code", self.0)
    }
}

impl std::error::Error for UnknownCode {}

codes! {
    AccountNotVisible = "account-not-visible", Some(0), Some(0);
    ConfigDenied = "config-denied", Some(0), Some(0);
    ConfigStale = "config-stale", Some(0), Some(0);
    CidrOverlap = "cidr-overlap", Some(0), Some(0);
    RiMissing = "ri-missing", Some(1), Some(2);
    RiWrongRegion = "ri-wrong-region", Some(1), Some(2);
    RiWrongVpc = "ri-wrong-vpc", Some(1), Some(2);
    RiRoleConflict = "ri-role-conflict", Some(1), Some(2);
    RiOppositeUnset = "ri-opposite-unset", Some(4), Some(3);
    RiOppositeMismatch = "ri-opposite-mismatch", Some(4), Some(3);
    RiNotConnected = "ri-not-connected", Some(4), Some(4);
    RiConnecting = "ri-connecting", Some(4), Some(4);
    RiInactive = "ri-inactive", Some(4), Some(4);
    RiFinancialLocked = "ri-financial-locked", Some(4), Some(4);
    RiSecurityLocked = "ri-security-locked", Some(4), Some(4);
    PeeringNotActive = "peering-not-active", Some(4), Some(4);
    RouteMissing = "route-missing", Some(5), Some(5);
    RouteWrongCidr = "route-wrong-cidr", Some(5), Some(5);
    RouteWrongNextHop = "route-wrong-next-hop", Some(5), Some(5);
    RouteWrongTable = "route-wrong-table", Some(5), Some(5);
    RouteShadowed = "route-shadowed", Some(5), Some(5);
    RouteNotAvailable = "route-not-available", Some(5), Some(5);
    EcmpLegDead = "ecmp-leg-dead", Some(5), Some(5);
    RouteLoop = "route-loop", Some(5), Some(5);
    RouteNotTransitive = "route-not-transitive", Some(5), Some(5);
    SgIngressMissing = "sg-ingress-missing", Some(6), Some(6);
    SgEgressBlocked = "sg-egress-blocked", Some(6), Some(6);
    SgDropWins = "sg-drop-wins", Some(6), Some(6);
    SgWrongProtocol = "sg-wrong-protocol", Some(6), Some(6);
    SgWrongCidr = "sg-wrong-cidr", Some(6), Some(6);
    SgWrongDirection = "sg-wrong-direction", Some(6), Some(6);
    SgGroupSourceCrossVpc = "sg-group-source-cross-vpc", Some(6), Some(6);
    SgNotAttached = "sg-not-attached", Some(6), Some(6);
    SgPrefixList = "sg-prefix-list", Some(6), Some(6);
    NaclIngressBlocked = "nacl-ingress-blocked", Some(6), Some(6);
    NaclEgressBlocked = "nacl-egress-blocked", Some(6), Some(6);
    InstanceStopped = "instance-stopped", Some(7), Some(7);
    IpNotOnEni = "ip-not-on-eni", Some(7), Some(7);
    GuestFirewall = "guest-firewall", Some(7), Some(7);
    GuestEchoIgnored = "guest-echo-ignored", Some(7), Some(7);
    GuestRouteMissing = "guest-route-missing", Some(7), Some(7);
    GuestRouteOverlap = "guest-route-overlap", Some(7), Some(7);
    GuestRpFilter = "guest-rp-filter", Some(7), Some(7);
    GuestMultiEni = "guest-multi-eni", Some(7), Some(7);
    GuestRateLimit = "guest-rate-limit", Some(7), Some(7);
    GuestNat = "guest-nat", Some(7), Some(7);
    HostOverload = "host-overload", Some(7), Some(7);
    StrangerReplied = "stranger-replied", Some(7), Some(7);
    AgentInContainer = "agent-in-container", Some(7), Some(7);
    ProbeNotPermitted = "probe-not-permitted", Some(7), Some(7);
    AgentSilent = "agent-silent", Some(7), Some(7);
    ClockSkew = "clock-skew", Some(7), Some(7);
    BandwidthSaturated = "bandwidth-saturated", Some(8), Some(8);
    LossInFabric = "loss-in-fabric", Some(8), Some(8);
    LatencyShift = "latency-shift", Some(8), Some(8);
    MtuBlackHole = "mtu-black-hole", Some(8), Some(8);
    FabricFault = "fabric-fault", Some(8), Some(8);
    ModelContradicted = "model-contradicted", None, None;
}

impl fmt::Display for CauseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
