//! How each field of a snapshot is redacted. Exhaustive by construction: structs are destructured without `..`.

use super::{Redact, Redactor};
use crate::{
    AclEntry, ConfigChange, Coverage, Eni, Gap, Instance, Known, LinkMetric, NetworkAcl, NextHop, PrefixList,
    RouteEntry, RouteTable, RouterInterface, RulePeer, SecurityGroup, SecurityRule, Snapshot, Source,
    TransitAttachment, TransitPeering, TransitRoute, TransitRouteTable, VSwitch, Vpc, VpcPeering, WhyUnknown,
};

impl<T: Redact> Redact for Option<T> {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        self.as_ref().map(|value| value.redact(by))
    }
}

impl<T: Redact> Redact for Vec<T> {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        self.iter().map(|value| value.redact(by)).collect()
    }
}

impl<T: Redact> Redact for Known<T> {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        match self {
            Self::Known(value) => Self::Known(value.redact(by)),
            Self::Unknown(why) => Self::Unknown(why.redact(by)),
        }
    }
}

/// `redacted` fields have types that implement [`Redact`]; texts are `ids`, `names` or the vendor's `words`; `kept`
/// fields are unchanged.
macro_rules! fields {
    ($($type:ident {
        $(redacted $($redacted:ident)+;)? $(ids $($id:ident)+;)? $(names $($name:ident)+;)? $(words $($word:ident)+;)?
        kept $($kept:ident)*
    })+) => {$(
        impl Redact for $type {
            fn redact(&self, by: &Redactor<'_>) -> Self {
                let Self { $($($redacted,)+)? $($($id,)+)? $($($name,)+)? $($($word,)+)? $($kept,)* } = self;
                Self {
                    $($($redacted: $redacted.redact(by),)+)?
                    $($($id: by.id($id),)+)?
                    $($($name: by.name($name),)+)?
                    $($($word: by.word($word),)+)?
                    $($kept: $kept.clone(),)*
                }
            }
        }
    )+};
}

fields! {
    Snapshot {
        redacted account request covers sources vpcs vswitches route_tables router_interfaces vpc_peerings transit_attachments
            transit_peerings transit_route_tables network_acls security_groups prefix_lists instances enis link_metrics
            changes gaps;
        kept schema region taken_at finished_at
    }
    Source { ids request_id; words api; kept at }
    Vpc { redacted id cidr secondary_cidrs router; names name; kept provenance }
    VSwitch { redacted id vpc cidr route_table network_acl; kept zone provenance }
    RouteTable { redacted id vpc vswitches entries; kept kind associate_type provenance }
    RouteEntry { redacted id destination next_hops; kept kind status provenance }
    NextHop { ids id; kept kind enabled weight }
    RouterInterface {
        redacted id router vpc opposite_interface opposite_owner opposite_router opposite_vpc;
        words spec;
        kept role status business_status bandwidth_mbps router_kind opposite_region opposite_router_kind opposite_status
            opposite_business_status created_at connected_at ends_at provenance
    }
    VpcPeering {
        redacted id owner vpc accepting_owner accepting_vpc;
        kept status business_status bandwidth_mbps region accepting_region provenance
    }
    TransitAttachment { redacted id transit_router vpc vpc_owner; kept vpc_region attached provenance }
    TransitPeering {
        redacted id transit_router peer_transit_router peer_owner;
        kept region peer_region bandwidth_mbps attached provenance
    }
    TransitRoute { redacted destination attachment; kept active propagated }
    TransitRouteTable { redacted id transit_router associations propagations routes; kept provenance }
    NetworkAcl { redacted id vpc ingress egress vswitches; kept provenance }
    AclEntry { redacted id peer; kept policy protocol ports system }
    SecurityRule { redacted id peer own; kept ingress policy priority protocol ports source_ports }
    PrefixList { redacted id entries; kept provenance }
    Instance { redacted id vpc vswitch addresses security_groups; names name; kept status provenance }
    LinkMetric { redacted interface; kept kind period_s points provenance }
}

impl Redact for Coverage {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        match self {
            Self::All => Self::All,
            Self::Vpcs(vpcs) => Self::Vpcs(vpcs.iter().map(|vpc| vpc.redact(by)).collect()),
        }
    }
}

impl Redact for SecurityGroup {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        let Self { id, name, vpc, kind, inner_access, rules, provenance } = self;
        let inner_access = match inner_access {
            Known::Known(policy) => Known::Known(*policy),
            Known::Unknown(why) => Known::Unknown(why.redact(by)),
        };
        Self {
            id: id.redact(by),
            name: by.name(name),
            vpc: vpc.redact(by),
            kind: *kind,
            inner_access,
            rules: rules.redact(by),
            provenance: *provenance,
        }
    }
}

impl Redact for Eni {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        let Self { id, status, primary, instance, vpc, vswitch, addresses, mac, security_groups, provenance } = self;
        Self {
            id: id.redact(by),
            status: *status,
            primary: *primary,
            instance: instance.redact(by),
            vpc: vpc.redact(by),
            vswitch: vswitch.redact(by),
            addresses: addresses.redact(by),
            mac: by.mac(mac),
            security_groups: security_groups.redact(by),
            provenance: *provenance,
        }
    }
}

impl Redact for ConfigChange {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        let Self { at, event_id, action, who, objects, error, provenance } = self;
        Self {
            at: *at,
            event_id: by.id(event_id),
            action: by.word(action),
            who: by.name(who),
            objects: objects.iter().map(|object| by.id(object)).collect(),
            error: error.as_deref().map(|error| by.word(error)),
            provenance: *provenance,
        }
    }
}

impl Redact for Gap {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        let Self { account, region, action, object, why, at } = self;
        Self {
            account: account.redact(by),
            region: region.clone(),
            action: by.word(action),
            object: object.as_deref().map(|object| by.id(object)),
            why: why.redact(by),
            at: *at,
        }
    }
}

impl Redact for RulePeer {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        match self {
            Self::Any => Self::Any,
            Self::Cidr(block) => Self::Cidr(block.redact(by)),
            Self::Group { id, owner } => Self::Group { id: id.redact(by), owner: owner.redact(by) },
            Self::PrefixList(id) => Self::PrefixList(id.redact(by)),
        }
    }
}

impl Redact for WhyUnknown {
    fn redact(&self, by: &Redactor<'_>) -> Self {
        match self {
            Self::NotAsked => Self::NotAsked,
            Self::Denied { action, code, request_id } => {
                // If no role could be assumed, the code is a sentence.
                Self::Denied { action: by.word(action), code: by.message(code), request_id: by.id(request_id) }
            }
            Self::Throttled { action } => Self::Throttled { action: by.word(action) },
            Self::Unreachable { action, message } => {
                Self::Unreachable { action: by.word(action), message: by.message(message) }
            }
            Self::Malformed { action, message } => {
                Self::Malformed { action: by.word(action), message: by.message(message) }
            }
            Self::Refused { action, code, request_id } => {
                Self::Refused { action: by.word(action), code: by.message(code), request_id: by.id(request_id) }
            }
            Self::NotPermitted { what, closes_with } => {
                Self::NotPermitted { what: by.message(what), closes_with: by.message(closes_with) }
            }
        }
    }
}
