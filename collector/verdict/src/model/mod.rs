//! The configuration of both sides as one model over which packets are walked and on which repairs are tried.
//!
//! Holds, for each account and region, the newest snapshots that cover its VPCs, as far as packets of the link can meet
//! them: the two sides may have different snapshots of one account and region. Clones share the snapshots that they do
//! not change. Knows nothing about observations. What the snapshot of a side lacks is `None` here; callers must turn it
//! into "unknown", never into "absent".

mod narrow;
pub(crate) mod readings;

use crate::{
    finding::Note,
    lang::Both,
    verdict::{Object, ObjectKind},
};
use pingtong_evidence::{
    Cidr, Known, Link, LinkSide, Pair, Provenance, RouteTable, RouteTableId, RouteTableKind, Side, Snapshot, Source,
    TransitRouteTable, VSwitch, VSwitchId, Vpc, VpcId,
};
use readings::Reading;
use std::{net::IpAddr, sync::Arc};

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) link: Link,
    /// Pairs of other links.
    pub(crate) elsewhere: Vec<Pair>,
    /// The snapshots that count for at least one VPC, by account and region.
    snapshots: Vec<Arc<Snapshot>>,
    /// Index of the snapshot that covers the VPC of the initiator, and of the acceptor.
    of_sides: [Option<usize>; 2],
}

impl Model {
    /// Builds the model. Of several snapshots that cover a VPC, the newest counts, even if it shows nothing: then the VPC
    /// is not visible now, whatever an earlier one showed.
    pub(crate) fn new<'s>(link: &Link, snapshots: impl IntoIterator<Item = &'s Snapshot>) -> Self {
        let mut readings = readings::newest(snapshots);
        readings.retain(|reading| readings::shows_anything(reading.snapshot));
        let of_sides = Side::BOTH.map(|side| {
            let LinkSide { account, region, vpc } = link.side(side);
            let counts = |reading: &Reading<&Snapshot>| {
                reading.snapshot.account == *account && reading.snapshot.region == *region && reading.counts_for(vpc)
            };
            readings.iter().position(counts)
        });
        let read: Vec<&Snapshot> = readings.into_iter().map(|reading| reading.snapshot).collect();
        let joined = narrow::joined(link, &read);
        let snapshots = read.into_iter().map(|snapshot| Arc::new(narrow::narrowed(snapshot, link, &joined))).collect();
        Self { link: link.clone(), elsewhere: vec![], snapshots, of_sides }
    }

    fn at(&self, side: Side) -> Option<usize> {
        let [initiator, acceptor] = self.of_sides;
        if side == Side::Initiator { initiator } else { acceptor }
    }

    /// The snapshot that covers the VPC of a side.
    pub(crate) fn snapshot(&self, side: Side) -> Option<&Snapshot> {
        self.snapshots.get(self.at(side)?).map(Arc::as_ref)
    }

    pub(crate) fn snapshot_mut(&mut self, side: Side) -> Option<&mut Snapshot> {
        let at = self.at(side)?;
        self.snapshots.get_mut(at).map(Arc::make_mut)
    }

    pub(crate) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.snapshots.iter().map(Arc::as_ref)
    }

    /// The same, shared.
    pub(crate) fn shared(&self) -> impl Iterator<Item = Arc<Snapshot>> {
        self.snapshots.iter().map(Arc::clone)
    }

    /// Returns the route table of a transit router in every snapshot that shows it.
    pub(crate) fn transit_tables_mut(&mut self, id: &RouteTableId) -> impl Iterator<Item = &mut TransitRouteTable> {
        let shows = |snapshot: &Snapshot| {
            snapshot.transit_route_tables.known().is_some_and(|tables| tables.iter().any(|table| table.id == *id))
        };
        let showing = self.snapshots.iter_mut().filter(move |snapshot| shows(snapshot)).map(Arc::make_mut);
        let all = showing.filter_map(|snapshot| match &mut snapshot.transit_route_tables {
            Known::Known(tables) => Some(tables),
            Known::Unknown(_) => None,
        });
        all.flatten().filter(move |table| table.id == *id)
    }

    /// The link's VPC at one side; `None` if its description was not read.
    pub(crate) fn vpc(&self, side: Side) -> Option<&Vpc> {
        let id = &self.link.side(side).vpc;
        self.snapshot(side)?.vpcs.known()?.iter().find(|vpc| vpc.id == *id)
    }

    /// All blocks of the side's VPC; empty if they are unknown.
    pub(crate) fn blocks(&self, side: Side) -> Vec<Cidr> {
        self.vpc(side)
            .map_or_else(Vec::new, |vpc| std::iter::once(vpc.cidr).chain(vpc.secondary_cidrs.iter().copied()).collect())
    }

    /// The block of the side's VPC that contains `address`, or the address alone if no block is known to contain it.
    pub(crate) fn block_of(&self, side: Side, address: IpAddr) -> Cidr {
        self.blocks(side).into_iter().find(|block| block.contains(address)).unwrap_or_else(|| Cidr::host(address))
    }

    /// Whether another link connects `vpc`, in the account of one side, to the other side's VPC.
    pub(crate) fn joined_elsewhere(&self, side: Side, vpc: &VpcId) -> bool {
        let (own, peer) = (self.link.side(side), self.link.side(side.opposite()));
        self.elsewhere.iter().any(|pair| {
            Side::BOTH.into_iter().any(|at| {
                let (near, far) = (pair.link.side(at), pair.link.side(at.opposite()));
                near.account == own.account && near.vpc == *vpc && far.account == peer.account && far.vpc == peer.vpc
            })
        })
    }

    /// Whether a route or rule for `block` serves something else: the block contains a peer of this side's VPC over
    /// another link, or it covers a block of the peer's VPC that does not contain `to`.
    pub(crate) fn meant_elsewhere(&self, side: Side, block: &Cidr, to: IpAddr) -> bool {
        let vpc = &self.link.side(side).vpc;
        let by_link = self.elsewhere.iter().any(|pair| {
            Side::BOTH
                .into_iter()
                .any(|at| pair.link.side(at).vpc == *vpc && block.contains(pair.endpoint(at.opposite()).address))
        });
        // A block of the peer's VPC that overlaps a block of this VPC is never reached over the link.
        let own = self.blocks(side);
        let theirs = self.blocks(side.opposite());
        let apart = |other: &&Cidr| !own.iter().any(|own| own.overlaps(other));
        by_link || theirs.iter().filter(apart).any(|other| !other.contains(to) && block.covers(other))
    }

    pub(crate) fn vswitches(&self, side: Side) -> Option<Vec<&VSwitch>> {
        let vpc = &self.link.side(side).vpc;
        Some(self.snapshot(side)?.vswitches.known()?.iter().filter(|v| v.vpc == *vpc).collect())
    }

    pub(crate) fn vswitch_of(&self, side: Side, address: IpAddr) -> Option<&VSwitch> {
        self.vswitches(side)?.into_iter().find(|v| v.cidr.contains(address))
    }

    /// The table in effect for a vSwitch: the one it names, else one that names it, else the VPC's system table.
    pub(crate) fn table_of(&self, side: Side, vswitch: &VSwitchId) -> Known<Option<&RouteTable>> {
        let vpc = &self.link.side(side).vpc;
        let Some(snapshot) = self.snapshot(side) else { return Known::default() };
        let tables = match &snapshot.route_tables {
            Known::Known(tables) => tables,
            Known::Unknown(why) => return Known::Unknown(why.clone()),
        };
        let named = self
            .vswitches(side)
            .and_then(|all| all.into_iter().find(|v| v.id == *vswitch))
            .and_then(|v| v.route_table.clone());
        let own = || tables.iter().filter(|t| t.vpc == *vpc);
        Known::Known(
            named
                .and_then(|id| own().find(|t| t.id == id))
                .or_else(|| own().find(|t| t.vswitches.contains(vswitch)))
                .or_else(|| own().find(|t| t.kind == RouteTableKind::System)),
        )
    }

    /// Whether every route table of a side was read with its entries.
    pub(crate) fn routes_are_read(&self, side: Side) -> bool {
        let tables = self.snapshot(side).and_then(|snapshot| snapshot.route_tables.known());
        tables.is_some_and(|tables| tables.iter().all(|table| table.entries.known().is_some()))
    }

    pub(crate) fn object(&self, side: Side, kind: ObjectKind, id: impl Into<String>) -> Object {
        let LinkSide { account, region, .. } = self.link.side(side);
        Object { kind, id: id.into(), account: account.clone(), region: region.clone() }
    }

    /// A line of evidence about an object of one side, read by the call that `provenance` names.
    pub(crate) fn note(&self, side: Side, object: &str, provenance: Provenance, text: Both) -> Note {
        let source: Option<Source> = self
            .snapshot(side)
            .and_then(|s| usize::try_from(provenance.0).ok().and_then(|at| s.sources.get(at)))
            .cloned();
        Note {
            text,
            object: (!object.is_empty()).then(|| object.to_owned()),
            account: Some(self.link.side(side).account.clone()),
            source,
        }
    }
}
