//! The tutorial's steps if a transit router connects the VPCs: one CEN instance for each peering, in the initiator's
//! account, with a transit router in each region.
//!
//! 1: CEN instance, transit routers, attachment of the initiator's VPC · 2: the acceptor grants its VPC, which is
//! attached · 3: between regions the connection; then each attachment is associated with its router's system table · 4:
//! those tables learn routes from each attachment · 5: routes of both VPCs. The calls of Cloud Enterprise Network are
//! asynchronous: each object must be ready before the next one needs it.

use super::{Builder, field, with};
use crate::topology::{Peering, Vpc};
use anyhow::{Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;

/// One peering with its two VPCs.
#[derive(Clone, Copy)]
pub(super) struct Ends<'a> {
    pub(super) peering: &'a Peering,
    pub(super) initiator: &'a Vpc,
    pub(super) acceptor: &'a Vpc,
}

impl<'a> Ends<'a> {
    /// Both VPCs with the names of their sides.
    fn sides(self) -> [(&'static str, &'a Vpc); 2] {
        [("initiator", self.initiator), ("acceptor", self.acceptor)]
    }

    fn between_regions(self) -> bool {
        self.initiator.region != self.acceptor.region
    }

    fn name(self) -> &'a str {
        self.peering.name.get_ref()
    }
}

impl Builder<'_> {
    pub(super) async fn transit_router(&mut self, number: u8, ends: Ends<'_>) -> Result<()> {
        let name = ends.name();
        match number {
            1 => {
                self.transit_routers(ends).await?;
                self.attach(ends, "initiator", ends.initiator).await
            }
            2 => {
                if ends.acceptor.account() != ends.initiator.account() {
                    let parameters = with([
                        ("InstanceType", "VPC"),
                        ("InstanceId", self.symbols.get(ends.acceptor.name.get_ref())?),
                        ("CenId", self.symbols.get(&format!("{name}.cen"))?),
                        ("CenOwnerId", self.symbols.get(&format!("{}.id", ends.initiator.account()))?),
                    ]);
                    self.call(ends.acceptor, "cbn:GrantInstanceToTransitRouter", parameters).await?;
                }
                self.attach(ends, "acceptor", ends.acceptor).await
            }
            3 => {
                if ends.between_regions() {
                    self.join_regions(ends).await?;
                }
                self.bind(ends, "AssociateTransitRouterAttachmentWithRouteTable").await
            }
            4 => self.bind(ends, "EnableTransitRouterRouteTablePropagation").await,
            5 => self.routes(name, ends.initiator, ends.acceptor, "Attachment").await,
            _ => Ok(()),
        }
    }

    /// A call for a region, as the owner of the CEN instance.
    async fn cen(
        &self,
        ends: Ends<'_>,
        region: &str,
        action: &str,
        parameters: BTreeMap<String, String>,
    ) -> Result<Value> {
        self.operators.call(ends.initiator.account(), "cbn", action, region, parameters).await
    }

    async fn transit_routers(&mut self, ends: Ends<'_>) -> Result<()> {
        let (name, owner) = (ends.name(), ends.initiator.account().to_owned());
        let home = &ends.initiator.region;
        let cen = field(&self.cen(ends, home, "CreateCen", with([("Name", name)])).await?, "CenId")?;
        self.symbols.set_in(&owner, home, format!("{name}.cen"), &cen);
        self.await_word(ends, home, "DescribeCens", BTreeMap::new(), ("Cens.Cen", "CenId", &cen), "Active").await?;
        let mut made: BTreeMap<&str, (String, String)> = BTreeMap::new();
        for (side, vpc) in ends.sides() {
            let region = vpc.region.as_str();
            if !made.contains_key(region) {
                let parameters = with([("CenId", &cen), ("TransitRouterName", name)]);
                let router =
                    field(&self.cen(ends, region, "CreateTransitRouter", parameters).await?, "TransitRouterId")?;
                let (by_cen, row) = (with([("CenId", &cen)]), ("TransitRouters", "TransitRouterId", router.as_str()));
                self.await_word(ends, region, "ListTransitRouters", by_cen, row, "Active").await?;
                let of_router = with([("TransitRouterId", &router)]);
                let tables = self.cen(ends, region, "ListTransitRouterRouteTables", of_router).await?;
                let table = field(&tables, "TransitRouterRouteTables[0].TransitRouterRouteTableId")?;
                made.insert(region, (router, table));
            }
            let (router, table) = &made[region];
            self.symbols.set_in(&owner, region, format!("{name}.{side}.transit_router"), router);
            self.symbols.set_in(&owner, region, format!("{name}.{side}.route_table"), table);
        }
        Ok(())
    }

    async fn attach(&mut self, ends: Ends<'_>, side: &str, vpc: &Vpc) -> Result<()> {
        let name = ends.name();
        let mut parameters = with([
            ("CenId", self.symbols.get(&format!("{name}.cen"))?),
            ("TransitRouterId", self.symbols.get(&format!("{name}.{side}.transit_router"))?),
            ("VpcId", self.symbols.get(vpc.name.get_ref())?),
            ("VpcOwnerId", self.symbols.get(&format!("{}.id", vpc.account()))?),
            ("TransitRouterAttachmentName", name),
        ]);
        // One vSwitch per zone.
        let mut zones: BTreeMap<&str, &str> = BTreeMap::new();
        for vswitch in &vpc.vswitches {
            zones.entry(&vswitch.zone).or_insert(vswitch.name.get_ref());
        }
        for (at, (zone, vswitch)) in (1..).zip(zones) {
            let id = self.symbols.get(&format!("{}.{vswitch}", vpc.name.get_ref()))?;
            parameters.insert(format!("ZoneMappings.{at}.ZoneId"), zone.to_owned());
            parameters.insert(format!("ZoneMappings.{at}.VSwitchId"), id.to_owned());
        }
        let made = self.cen(ends, &vpc.region, "CreateTransitRouterVpcAttachment", parameters).await?;
        let id = field(&made, "TransitRouterAttachmentId")?;
        self.symbols.set_in(ends.initiator.account(), &vpc.region, format!("{name}.{side}"), &id);
        self.name(vpc, &format!("{name}.{side}"), &id);
        self.await_attached(ends, &vpc.region, "ListTransitRouterVpcAttachments", &id).await
    }

    async fn join_regions(&mut self, ends: Ends<'_>) -> Result<()> {
        let (name, region) = (ends.name(), &ends.initiator.region);
        let parameters = with([
            ("CenId", self.symbols.get(&format!("{name}.cen"))?),
            ("TransitRouterId", self.symbols.get(&format!("{name}.initiator.transit_router"))?),
            ("PeerTransitRouterId", self.symbols.get(&format!("{name}.acceptor.transit_router"))?),
            ("PeerTransitRouterRegionId", &ends.acceptor.region),
            ("BandwidthType", "DataTransfer"),
            ("AutoPublishRouteEnabled", "true"),
            ("TransitRouterAttachmentName", name),
        ]);
        let made = self.cen(ends, region, "CreateTransitRouterPeerAttachment", parameters).await?;
        let id = field(&made, "TransitRouterAttachmentId")?;
        self.symbols.set_in(ends.initiator.account(), region, format!("{name}.between"), &id);
        self.await_attached(ends, region, "ListTransitRouterPeerAttachments", &id).await
    }

    /// Makes a call for each pair of an attachment and the system table of a transit router at which it ends.
    async fn bind(&mut self, ends: Ends<'_>, action: &str) -> Result<()> {
        let name = ends.name();
        for (side, vpc) in ends.sides() {
            let table = self.symbols.get(&format!("{name}.{side}.route_table"))?;
            let mut attachments = vec![self.symbols.get(&format!("{name}.{side}"))?];
            if ends.between_regions() {
                attachments.push(self.symbols.get(&format!("{name}.between"))?);
            }
            for attachment in attachments {
                let parameters =
                    with([("TransitRouterRouteTableId", table), ("TransitRouterAttachmentId", attachment)]);
                self.cen(ends, &vpc.region, action, parameters).await?;
            }
        }
        Ok(())
    }

    async fn await_attached(&self, ends: Ends<'_>, region: &str, listing: &str, id: &str) -> Result<()> {
        let row = ("TransitRouterAttachments", "TransitRouterAttachmentId", id);
        let parameters = with([("TransitRouterAttachmentId", id)]);
        self.await_word(ends, region, listing, parameters, row, "Attached").await
    }

    /// Polls a listing until the row with this id has this status. The number of polls is limited.
    async fn await_word(
        &self,
        ends: Ends<'_>,
        region: &str,
        listing: &str,
        parameters: BTreeMap<String, String>,
        (rows, key, id): (&str, &str, &str),
        word: &str,
    ) -> Result<()> {
        for _ in 0..super::LOOKS_MAX {
            let seen = self.cen(ends, region, listing, parameters.clone()).await?;
            let rows = rows.split('.').fold(&seen, |at, name| &at[name]);
            let row = rows.as_array().into_iter().flatten().find(|row| row[key] == id);
            if row.is_some_and(|row| row["Status"] == word) {
                return Ok(());
            }
            tokio::time::sleep(super::LOOK_EVERY).await;
        }
        bail!("{id} did not become {word}")
    }
}
