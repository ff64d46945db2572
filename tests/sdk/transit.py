"""A transit router between the two accounts' VPCs, made and read back through the vendor's own typed models.

Starts from a lab with `--topology tutorial --unconnected`: the VPCs are in two regions, so two routers are joined.
"""

from __future__ import annotations

import unittest
from typing import Any

from alibabacloud_cbn20170912 import models as cbn
from alibabacloud_vpc20160428 import models as vpc

import lab


class TransitRouter(unittest.TestCase):
    """Made by account A; account B grants its VPC."""

    def setUp(self) -> None:
        site = lab.site()
        self.symbols = site.symbols
        self.region = {"A": site.symbols["A.vpc1.region"], "B": site.symbols["B.vpc2.region"]}
        self.vpc = {"A": "A.vpc1", "B": "B.vpc2"}
        self.a, self.b = site.caller("A", self.region["A"]), site.caller("B", self.region["B"])

    def test_two_regions_are_joined(self) -> None:
        self.cen = self.a.cbn.create_cen(cbn.CreateCenRequest(name="by-sdk")).cen_id
        lab.wait_until("the CEN instance", self.cens, lambda seen: (self.cen, "Active") in seen)
        self.b.cbn.grant_instance_to_transit_router(
            cbn.GrantInstanceToTransitRouterRequest(
                region_id=self.region["B"],
                instance_id=self.symbols["B.vpc2"],
                instance_type="VPC",
                cen_id=self.cen,
                cen_owner_id=int(self.symbols["A.id"]),
            )
        )
        routers = {side: self.router(self.region[side]) for side in "AB"}
        tables = {side: self.table(router) for side, router in routers.items()}
        attachments = {side: self.attach(side, router) for side, router in routers.items()}
        peering = self.join(routers)
        for side in "AB":
            for attachment in (attachments[side], peering):
                self.bind(attachment, tables[side])
            self.bound(tables[side], {attachments[side], peering})
        for side, other in ("AB", "BA"):
            cidr = self.symbols[f"{self.vpc[other]}.cidr"]
            self.route(side, cidr, attachments[side])
            entries = lab.wait_until(
                "the learned routes", lambda side=side: self.entries(tables[side]), lambda seen: len(seen) >= 2
            )
            self.assertEqual({entry.transit_router_route_entry_status for entry in entries}, {"Active"})
            self.assertLessEqual(
                {entry.transit_router_route_entry_next_hop_id for entry in entries}, {attachments[side], peering}
            )

    def cens(self) -> list[tuple[str, str]]:
        return [(one.cen_id, one.status) for one in self.a.cbn.describe_cens(cbn.DescribeCensRequest()).cens.cen]

    def router(self, region: str) -> str:
        request = cbn.CreateTransitRouterRequest(region_id=region, cen_id=self.cen, transit_router_name="by-sdk")
        router = self.a.cbn.create_transit_router(request).transit_router_id

        def look() -> list[tuple[str, str]]:
            listed = self.a.cbn.list_transit_routers(cbn.ListTransitRoutersRequest(cen_id=self.cen, region_id=region))
            return [(one.transit_router_id, one.status) for one in listed.transit_routers]

        lab.wait_until("the transit router", look, lambda seen: (router, "Active") in seen)
        return router

    def table(self, router: str) -> str:
        request = cbn.ListTransitRouterRouteTablesRequest(transit_router_id=router, max_results=100)
        (table,) = self.a.cbn.list_transit_router_route_tables(request).transit_router_route_tables
        self.assertEqual(table.transit_router_route_table_type, "System")
        return table.transit_router_route_table_id

    def attach(self, side: str, router: str) -> str:
        vswitch = f"{self.vpc[side]}.vsw1"
        zone = {"A": "cn-qingdao-b", "B": "cn-beijing-a"}[side]
        made = self.a.cbn.create_transit_router_vpc_attachment(
            cbn.CreateTransitRouterVpcAttachmentRequest(
                region_id=self.region[side],
                cen_id=self.cen,
                transit_router_id=router,
                vpc_id=self.symbols[self.vpc[side]],
                vpc_owner_id=int(self.symbols[f"{side}.id"]),
                zone_mappings=[
                    cbn.CreateTransitRouterVpcAttachmentRequestZoneMappings(
                        zone_id=zone, v_switch_id=self.symbols[vswitch]
                    )
                ],
            )
        ).transit_router_attachment_id

        def look() -> Any:
            request = cbn.ListTransitRouterVpcAttachmentsRequest(
                region_id=self.region[side], transit_router_id=router, max_results=100
            )
            (seen,) = self.a.cbn.list_transit_router_vpc_attachments(request).transit_router_attachments
            return seen

        seen = lab.wait_until("the attachment", look, lambda seen: seen.status == "Attached")
        self.assertEqual((seen.transit_router_attachment_id, seen.vpc_id), (made, self.symbols[self.vpc[side]]))
        return made

    def join(self, routers: dict[str, str]) -> str:
        made = self.a.cbn.create_transit_router_peer_attachment(
            cbn.CreateTransitRouterPeerAttachmentRequest(
                region_id=self.region["A"],
                cen_id=self.cen,
                transit_router_id=routers["A"],
                peer_transit_router_id=routers["B"],
                peer_transit_router_region_id=self.region["B"],
                bandwidth_type="DataTransfer",
                bandwidth=2,
                auto_publish_route_enabled=True,
            )
        ).transit_router_attachment_id

        def look() -> Any:
            request = cbn.ListTransitRouterPeerAttachmentsRequest(
                region_id=self.region["A"], transit_router_id=routers["A"], max_results=100
            )
            (seen,) = self.a.cbn.list_transit_router_peer_attachments(request).transit_router_attachments
            return seen

        seen = lab.wait_until("the peering", look, lambda seen: seen.status == "Attached")
        self.assertEqual((seen.transit_router_attachment_id, seen.peer_transit_router_id), (made, routers["B"]))
        return made

    def bind(self, attachment: str, table: str) -> None:
        both = dict(transit_router_attachment_id=attachment, transit_router_route_table_id=table)
        self.a.cbn.associate_transit_router_attachment_with_route_table(
            cbn.AssociateTransitRouterAttachmentWithRouteTableRequest(**both)
        )
        self.a.cbn.enable_transit_router_route_table_propagation(
            cbn.EnableTransitRouterRouteTablePropagationRequest(**both)
        )

    def bound(self, table: str, attachments: set[str]) -> None:
        of_table = dict(transit_router_route_table_id=table, max_results=100)

        def associated() -> set[str]:
            request = cbn.ListTransitRouterRouteTableAssociationsRequest(**of_table)
            rows = self.a.cbn.list_transit_router_route_table_associations(request).transit_router_associations
            return {row.transit_router_attachment_id for row in rows if row.status == "Active"}

        def propagated() -> set[str]:
            request = cbn.ListTransitRouterRouteTablePropagationsRequest(**of_table)
            rows = self.a.cbn.list_transit_router_route_table_propagations(request).transit_router_propagations
            return {row.transit_router_attachment_id for row in rows if row.status == "Active"}

        lab.wait_until("the associations", associated, lambda seen: seen == attachments)
        lab.wait_until("the propagations", propagated, lambda seen: seen == attachments)

    def entries(self, table: str) -> list[Any]:
        request = cbn.ListTransitRouterRouteEntriesRequest(transit_router_route_table_id=table, max_results=100)
        return self.a.cbn.list_transit_router_route_entries(request).transit_router_route_entries

    def route(self, side: str, cidr: str, attachment: str) -> None:
        call = {"A": self.a, "B": self.b}[side]
        where = dict(region_id=self.region[side], route_table_id=self.symbols[f"{self.vpc[side]}.route_table"])
        call.vpc.create_route_entry(
            vpc.CreateRouteEntryRequest(
                destination_cidr_block=cidr, next_hop_type="Attachment", next_hop_id=attachment, **where
            )
        )
        listed = call.vpc.describe_route_entry_list(vpc.DescribeRouteEntryListRequest(max_result=100, **where))
        hops = {entry.destination_cidr_block: entry.next_hops.next_hop for entry in listed.route_entrys.route_entry}
        self.assertEqual([hop.next_hop_id for hop in hops[cidr]], [attachment])


if __name__ == "__main__":
    unittest.main()
