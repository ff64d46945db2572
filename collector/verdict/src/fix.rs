//! Fixes: a change of the configuration or in a guest that would remove a finding. Pure data; module `repair` applies a
//! fix to the model and prints its command.

use pingtong_evidence::{
    AttachmentId, Cidr, InstanceId, NetworkAclId, Protocol, RouteEntry, RouteTableId, RouterInterfaceId,
    SecurityGroupId, SecurityRule, TransitRoute, VpcPeeringId,
};

/// What would remove one finding. The fix belongs to the side of the finding.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Fix {
    /// No command can remove the finding.
    Manual,
    /// What removes it is not known: only the wire shows the finding, and nothing that was read explains it. Never proven.
    Unexplained,
    CreateInterface,
    /// Removes a router interface: deletes the routes that use it, deactivates it and deletes it.
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
    /// Leads an entry to the link instead of where it leads: one call, and no moment without a route.
    ModifyRoute {
        table: RouteTableId,
        entry: RouteEntry,
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
    /// Commands in the guest, each listed as one repair. `opens` is the protocol that they stop refusing, `*` for every
    /// protocol; `None` if they open nothing.
    Guest {
        instance: InstanceId,
        commands: Vec<Vec<String>>,
        opens: Option<String>,
    },
}

impl Fix {
    /// Whether there is no command.
    pub(crate) fn is_manual(&self) -> bool {
        matches!(self, Self::Manual | Self::Unexplained)
    }

    /// Rank of route creation. Lower ranks are removals and changes of connections.
    pub(crate) const ROUTES: u8 = 5;

    /// Rank in the order of work, lowest first. What is in the way is removed first (routes before the interface that
    /// they use), then connections come before routes, routes before filters, and the cloud before the guests.
    pub(crate) fn rank(&self) -> u8 {
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
            Self::CreateRoute { .. } | Self::ModifyRoute { .. } | Self::CreateTransitRoute { .. } => Self::ROUTES,
            Self::AcceptRule { .. } | Self::RemoveRule { .. } => 6,
            Self::AclAccept { .. } => 7,
            Self::StartInstance { .. } => 8,
            Self::Guest { .. } => 9,
            Self::Manual | Self::Unexplained => 10,
        }
    }
}
