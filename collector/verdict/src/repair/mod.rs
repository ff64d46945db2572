//! The smallest set of repairs that makes the pair work in the model, in an order that works, and its proof.
//!
//! Every finding carries its narrowest fix, [`alternatives`] adds others that would do. Fixes are tried on a copy of the
//! configuration (`search`); what is found is proven by applying all of it and by leaving each member out. What has no
//! command is listed with who must act, and the set is not called proven. Nothing is ever run.

mod alternatives;
mod apply;
mod brute;
mod opens;
mod search;

pub(crate) use apply::{ports_text, protocol_text};

use crate::{
    code::CauseCode,
    finding::Finding,
    lang::Lang,
    model::Model,
    verdict::{Object, Repair, Repairs},
};
use pingtong_evidence::{
    AttachmentId, Cidr, Direction, InstanceId, NetworkAclId, Pair, Protocol, RouteEntry, RouteTableId,
    RouterInterfaceId, SecurityGroupId, SecurityRule, Side, TransitRoute, VpcPeeringId,
};
use std::collections::BTreeSet;

/// What would remove one finding. The side is the finding's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fix {
    /// Nothing that a command could do.
    Manual,
    CreateInterface,
    /// Everything needed to get rid of an interface: its routes, its activity, itself.
    RemoveInterface {
        ri: RouterInterfaceId,
    },
    Deactivate {
        ri: RouterInterfaceId,
    },
    DeleteInterface {
        ri: RouterInterfaceId,
    },
    SetOpposite {
        ri: RouterInterfaceId,
    },
    Connect {
        ri: RouterInterfaceId,
    },
    Activate {
        ri: RouterInterfaceId,
    },
    CreatePeering,
    AcceptPeering {
        peering: VpcPeeringId,
    },
    DeleteRoute {
        table: RouteTableId,
        entry: RouteEntry,
    },
    CreateRoute {
        table: RouteTableId,
        destination: Cidr,
    },
    AssociateTransit {
        table: RouteTableId,
        attachment: AttachmentId,
    },
    DeleteTransitRoute {
        table: RouteTableId,
        route: TransitRoute,
    },
    CreateTransitRoute {
        table: RouteTableId,
        destination: Cidr,
        attachment: AttachmentId,
    },
    AcceptRule {
        group: SecurityGroupId,
        ingress: bool,
        protocol: Protocol,
        port: Option<u16>,
        peer: Cidr,
    },
    RemoveRule {
        group: SecurityGroupId,
        rule: SecurityRule,
    },
    AclAccept {
        acl: NetworkAclId,
        ingress: bool,
        at: usize,
        protocol: Protocol,
        port: Option<u16>,
        peer: Cidr,
    },
    StartInstance {
        instance: InstanceId,
    },
    /// Commands in the guest, one repair each; `opens` is what they stop refusing.
    Guest {
        instance: InstanceId,
        commands: Vec<Vec<String>>,
        opens: Option<String>,
    },
}

impl Fix {
    /// Rank of new routes; what comes before is about connections.
    const ROUTES: u8 = 5;

    /// Order of work: what is in the way goes first (routes before the interface that they hold), then connections
    /// before routes, routes before filters, the cloud before the guests.
    fn rank(&self) -> u8 {
        match self {
            Self::DeleteRoute { .. }
            | Self::DeleteTransitRoute { .. }
            | Self::RemoveInterface { .. }
            | Self::Deactivate { .. }
            | Self::DeleteInterface { .. } => 0,
            Self::CreateInterface | Self::CreatePeering => 1,
            Self::SetOpposite { .. } => 2,
            Self::Connect { .. } | Self::Activate { .. } | Self::AcceptPeering { .. } => 3,
            Self::AssociateTransit { .. } => 4,
            Self::CreateRoute { .. } | Self::CreateTransitRoute { .. } => Self::ROUTES,
            Self::AcceptRule { .. } | Self::RemoveRule { .. } => 6,
            Self::AclAccept { .. } => 7,
            Self::StartInstance { .. } => 8,
            Self::Guest { .. } => 9,
            Self::Manual => 10,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Planned {
    code: CauseCode,
    side: Side,
    object: Object,
    fix: Fix,
}

impl Planned {
    fn of(finding: &Finding, fix: Fix) -> Self {
        Self { code: finding.code, side: finding.side, object: finding.object.clone(), fix }
    }
}

type Key = (CauseCode, Side, Object, Option<Direction>);

/// What the search works on: the configuration, what only guests and wire show, and what the wire refuted.
pub(crate) struct Task<'a> {
    pub(crate) model: &'a Model,
    pub(crate) pair: &'a Pair,
    pub(crate) peers: &'a [Pair],
    /// Findings that no change of configuration removes.
    pub(crate) others: &'a [Finding],
    /// Configuration findings that the wire refutes: not repaired.
    pub(crate) refuted: &'a BTreeSet<Key>,
}

impl Task<'_> {
    /// The repair set, its proof and its side effects.
    pub(crate) fn solve(&self, healthy: bool, blind: bool, lang: Lang) -> Repairs {
        let begins = self.blockers(self.model);
        if begins.is_empty() && self.others.is_empty() {
            // Nothing to repair is a proof only where nothing is broken.
            return Repairs { minimal: true, proven: healthy, ..Repairs::default() };
        }
        let search::Plan { fixes: plan, restores } = self.search();
        let mut set = vec![];
        let mut model = self.model.clone();
        for planned in &plan {
            let before = model.clone();
            if let Fix::Guest { instance, commands, .. } = &planned.fix {
                set.extend(commands.iter().map(|command| guest(self.model, planned, instance, command, lang)));
            } else if let Some(call) = apply::apply(&mut model, planned.side, &planned.fix) {
                set.push(Repair {
                    account: before.link.side(planned.side).account.clone(),
                    side: planned.side,
                    code: planned.code,
                    object: planned.object.clone(),
                    cli: call.cli,
                    console: planned.code.doc().console.get(lang).to_owned(),
                    guest: vec![],
                    instance: None,
                    save: call.save,
                });
            }
        }
        let by_hand: Vec<&Finding> =
            begins.iter().chain(self.others).filter(|f| f.fix == Fix::Manual && needs_hands(f.code)).collect();
        let proven = restores && by_hand.is_empty() && !blind && !set.is_empty();
        set.extend(by_hand.into_iter().map(|finding| Repair {
            account: self.model.link.side(finding.side).account.clone(),
            side: finding.side,
            code: finding.code,
            object: finding.object.clone(),
            cli: vec![],
            console: finding.code.doc().repair.get(lang).to_owned(),
            guest: vec![],
            instance: None,
            save: std::collections::BTreeMap::default(),
        }));
        let opens = opens::opens(self.model, &model, self.pair, plan.iter().map(|p| (p.side, &p.fix)));
        Repairs { minimal: restores, proven, set, opens }
    }
}

/// A contradiction is settled by looking again, not by hands.
fn needs_hands(code: CauseCode) -> bool {
    code != CauseCode::ModelContradicted
}

fn guest(model: &Model, planned: &Planned, instance: &InstanceId, command: &[String], lang: Lang) -> Repair {
    Repair {
        account: model.link.side(planned.side).account.clone(),
        side: planned.side,
        code: planned.code,
        object: planned.object.clone(),
        cli: vec![],
        console: planned.code.doc().console.get(lang).to_owned(),
        guest: command.to_vec(),
        instance: Some(instance.clone()),
        save: std::collections::BTreeMap::default(),
    }
}

#[cfg(test)]
mod tests;
