"""What an owner builds around the tutorial, made and read back through the vendor's own typed models.

VPCs with further address blocks, vSwitches, route tables, network ACLs, prefix lists, groups and instances, and a VPC
peering connection between two accounts. Needs a lab with any topology of accounts A and B, `--unconnected`.
"""

from __future__ import annotations

import unittest

from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_vpc20160428 import models as vpc
from alibabacloud_vpcpeer20220101 import models as peer

import lab


class Objects(unittest.TestCase):
    """Each test makes a VPC of its own."""

    signature: str | None = None
    region = "cn-hangzhou"

    def setUp(self) -> None:
        self.site = lab.site(self.signature)
        self.call = self.site.caller("A", self.region)

    def make_vpc(self, cidr: str, call: lab.Caller | None = None) -> vpc.CreateVpcResponseBody:
        request = vpc.CreateVpcRequest(region_id=self.region, cidr_block=cidr, vpc_name="by-sdk", description="a & b=c/d 二")
        return (call or self.call).vpc.create_vpc(request)

    def make_vswitch(self, vpc_id: str, cidr: str) -> str:
        request = vpc.CreateVSwitchRequest(
            region_id=self.region, vpc_id=vpc_id, zone_id=f"{self.region}-b", cidr_block=cidr, v_switch_name="by-sdk"
        )
        return self.call.vpc.create_vswitch(request).v_switch_id

    def vswitch(self, vswitch_id: str) -> vpc.DescribeVSwitchesResponseBodyVSwitchesVSwitch:
        request = vpc.DescribeVSwitchesRequest(region_id=self.region, v_switch_id=vswitch_id, page_size=50)
        (seen,) = self.call.vpc.describe_vswitches(request).v_switches.v_switch
        return seen

    def test_a_vpc_gets_a_second_block_and_goes_again(self) -> None:
        made = self.make_vpc("10.1.0.0/16")
        one = dict(region_id=self.region, vpc_id=made.vpc_id)
        block = dict(secondary_cidr_block="10.2.0.0/16", **one)
        self.call.vpc.associate_vpc_cidr_block(vpc.AssociateVpcCidrBlockRequest(**block))
        (seen,) = self.call.vpc.describe_vpcs(vpc.DescribeVpcsRequest(page_size=50, **one)).vpcs.vpc
        self.assertEqual((seen.description, seen.cidr_block), ("a & b=c/d 二", "10.1.0.0/16"))
        self.assertIn("10.2.0.0/16", seen.secondary_cidr_blocks.secondary_cidr_block)
        vswitch = self.make_vswitch(made.vpc_id, "10.2.1.0/24")
        self.assertEqual(self.vswitch(vswitch).cidr_block, "10.2.1.0/24")
        self.call.vpc.delete_vswitch(vpc.DeleteVSwitchRequest(region_id=self.region, v_switch_id=vswitch))
        self.call.vpc.unassociate_vpc_cidr_block(vpc.UnassociateVpcCidrBlockRequest(**block))
        self.call.vpc.delete_vpc(vpc.DeleteVpcRequest(**one))
        self.assertEqual(self.call.vpc.describe_vpcs(vpc.DescribeVpcsRequest(page_size=50, **one)).vpcs.vpc, [])

    def test_a_route_table_of_its_own_serves_a_vswitch(self) -> None:
        made = self.make_vpc("10.3.0.0/16")
        vswitch = self.make_vswitch(made.vpc_id, "10.3.1.0/24")
        table = self.call.vpc.create_route_table(
            vpc.CreateRouteTableRequest(region_id=self.region, vpc_id=made.vpc_id, route_table_name="by-sdk")
        ).route_table_id
        bound = dict(region_id=self.region, route_table_id=table, v_switch_id=vswitch)
        self.call.vpc.associate_route_table(vpc.AssociateRouteTableRequest(**bound))
        self.assertEqual(self.vswitch(vswitch).route_table.route_table_id, table)
        listed = self.call.vpc.describe_route_table_list(
            vpc.DescribeRouteTableListRequest(region_id=self.region, vpc_id=made.vpc_id, page_size=50)
        )
        kinds = {row.route_table_id: row.route_table_type for row in listed.router_table_list.router_table_list_type}
        self.assertEqual(kinds, {made.route_table_id: "System", table: "Custom"})
        self.call.vpc.unassociate_route_table(vpc.UnassociateRouteTableRequest(**bound))
        self.call.vpc.delete_route_table(vpc.DeleteRouteTableRequest(region_id=self.region, route_table_id=table))
        self.assertEqual(self.vswitch(vswitch).route_table.route_table_id, made.route_table_id)

    def test_a_network_acl_holds_what_was_put_in(self) -> None:
        made = self.make_vpc("10.4.0.0/16")
        vswitch = self.make_vswitch(made.vpc_id, "10.4.1.0/24")
        acl = self.call.vpc.create_network_acl(
            vpc.CreateNetworkAclRequest(region_id=self.region, vpc_id=made.vpc_id, network_acl_name="by-sdk")
        ).network_acl_id
        self.call.vpc.update_network_acl_entries(
            vpc.UpdateNetworkAclEntriesRequest(
                region_id=self.region,
                network_acl_id=acl,
                update_ingress_acl_entries=True,
                ingress_acl_entries=[
                    vpc.UpdateNetworkAclEntriesRequestIngressAclEntries(
                        policy="drop", protocol="tcp", port="22/22", source_cidr_ip="172.16.0.0/16"
                    ),
                    vpc.UpdateNetworkAclEntriesRequestIngressAclEntries(
                        policy="accept", protocol="all", port="-1/-1", source_cidr_ip="0.0.0.0/0"
                    ),
                ],
                update_egress_acl_entries=True,
                egress_acl_entries=[
                    vpc.UpdateNetworkAclEntriesRequestEgressAclEntries(
                        policy="accept", protocol="icmp", port="-1/-1", destination_cidr_ip="0.0.0.0/0"
                    ),
                ],
            )
        )
        resource = vpc.AssociateNetworkAclRequestResource(resource_id=vswitch, resource_type="VSwitch")
        self.call.vpc.associate_network_acl(
            vpc.AssociateNetworkAclRequest(region_id=self.region, network_acl_id=acl, resource=[resource])
        )
        listed = self.call.vpc.describe_network_acls(
            vpc.DescribeNetworkAclsRequest(region_id=self.region, vpc_id=made.vpc_id, page_size=50)
        )
        (row,) = listed.network_acls.network_acl
        one = self.call.vpc.describe_network_acl_attributes(
            vpc.DescribeNetworkAclAttributesRequest(region_id=self.region, network_acl_id=acl)
        ).network_acl_attribute
        for seen in (row, one):
            ingress = [
                (entry.policy, entry.protocol, entry.port, entry.source_cidr_ip)
                for entry in seen.ingress_acl_entries.ingress_acl_entry
                if entry.entry_type == "custom"
            ]
            self.assertEqual(
                ingress, [("drop", "tcp", "22/22", "172.16.0.0/16"), ("accept", "all", "-1/-1", "0.0.0.0/0")]
            )
            egress = [
                (entry.policy, entry.protocol, entry.destination_cidr_ip)
                for entry in seen.egress_acl_entries.egress_acl_entry
                if entry.entry_type == "custom"
            ]
            self.assertEqual(egress, [("accept", "icmp", "0.0.0.0/0")])
            (bound,) = seen.resources.resource
            self.assertEqual((bound.resource_id, bound.resource_type), (vswitch, "VSwitch"))
        self.assertEqual(self.vswitch(vswitch).network_acl_id, acl)
        resource = vpc.UnassociateNetworkAclRequestResource(resource_id=vswitch, resource_type="VSwitch")
        self.call.vpc.unassociate_network_acl(
            vpc.UnassociateNetworkAclRequest(region_id=self.region, network_acl_id=acl, resource=[resource])
        )
        self.call.vpc.delete_network_acl(vpc.DeleteNetworkAclRequest(region_id=self.region, network_acl_id=acl))

    def test_a_rule_may_name_a_prefix_list(self) -> None:
        made = self.make_vpc("10.5.0.0/16")
        prefix_list = self.call.ecs.create_prefix_list(
            ecs.CreatePrefixListRequest(
                region_id=self.region,
                prefix_list_name="by-sdk",
                address_family="IPv4",
                max_entries=3,
                entry=[ecs.CreatePrefixListRequestEntry(cidr="172.16.0.0/16", description="B")],
            )
        ).prefix_list_id
        one = dict(region_id=self.region, prefix_list_id=prefix_list)
        self.call.ecs.modify_prefix_list(
            ecs.ModifyPrefixListRequest(add_entry=[ecs.ModifyPrefixListRequestAddEntry(cidr="172.17.0.0/16")], **one)
        )
        seen = self.call.ecs.describe_prefix_list_attributes(ecs.DescribePrefixListAttributesRequest(**one))
        self.assertEqual(sorted(entry.cidr for entry in seen.entries.entry), ["172.16.0.0/16", "172.17.0.0/16"])
        self.assertEqual((seen.prefix_list_name, seen.max_entries, seen.address_family), ("by-sdk", 3, "IPv4"))
        group = self.make_group(made.vpc_id)
        self.call.ecs.authorize_security_group(
            ecs.AuthorizeSecurityGroupRequest(
                region_id=self.region,
                security_group_id=group,
                permissions=[
                    ecs.AuthorizeSecurityGroupRequestPermissions(
                        ip_protocol="tcp", port_range="443/443", source_prefix_list_id=prefix_list
                    )
                ],
            )
        )
        rules = self.call.ecs.describe_security_group_attribute(
            ecs.DescribeSecurityGroupAttributeRequest(region_id=self.region, security_group_id=group, max_results=1000)
        )
        self.assertEqual([rule.source_prefix_list_id for rule in rules.permissions.permission], [prefix_list])
        listed = self.call.ecs.describe_prefix_lists(
            ecs.DescribePrefixListsRequest(region_id=self.region, prefix_list_id=[prefix_list], max_results=10)
        )
        (row,) = listed.prefix_lists.prefix_list
        self.assertEqual((row.prefix_list_id, row.association_count), (prefix_list, 1))
        users = self.call.ecs.describe_prefix_list_associations(
            ecs.DescribePrefixListAssociationsRequest(max_results=10, **one)
        )
        self.assertEqual(
            [row.resource_id for row in users.prefix_list_associations.prefix_list_association], [group]
        )

    def make_group(self, vpc_id: str) -> str:
        request = ecs.CreateSecurityGroupRequest(
            region_id=self.region, vpc_id=vpc_id, security_group_name="by-sdk", security_group_type="normal"
        )
        return self.call.ecs.create_security_group(request).security_group_id

    def test_an_instance_runs_stops_and_goes(self) -> None:
        made = self.make_vpc("10.6.0.0/16")
        vswitch, group = self.make_vswitch(made.vpc_id, "10.6.1.0/24"), self.make_group(made.vpc_id)
        ids = self.call.ecs.run_instances(
            ecs.RunInstancesRequest(
                region_id=self.region,
                instance_name="by-sdk",
                v_switch_id=vswitch,
                private_ip_address="10.6.1.10",
                security_group_ids=[group],
                ram_role_name="pingtong-agent",
                amount=1,
            )
        )
        (instance,) = ids.instance_id_sets.instance_id_set
        self.until(instance, "Running")
        states = self.call.ecs.describe_instance_status(
            ecs.DescribeInstanceStatusRequest(region_id=self.region, instance_id=[instance], page_size=50)
        )
        (state,) = states.instance_statuses.instance_status
        self.assertEqual((state.instance_id, state.status), (instance, "Running"))
        roles = self.call.ecs.describe_instance_ram_role(
            ecs.DescribeInstanceRamRoleRequest(region_id=self.region, instance_ids=f'["{instance}"]')
        )
        self.assertEqual(
            [row.ram_role_name for row in roles.instance_ram_role_sets.instance_ram_role_set], ["pingtong-agent"]
        )
        self.call.ecs.stop_instance(ecs.StopInstanceRequest(instance_id=instance))
        self.until(instance, "Stopped")
        self.call.ecs.start_instance(ecs.StartInstanceRequest(instance_id=instance))
        self.until(instance, "Running")
        self.call.ecs.delete_instance(ecs.DeleteInstanceRequest(instance_id=instance, force=True))

    def until(self, instance: str, status: str) -> None:
        def look() -> str | None:
            request = ecs.DescribeInstancesRequest(region_id=self.region, instance_ids=f'["{instance}"]', max_results=10)
            (seen,) = self.call.ecs.describe_instances(request).instances.instance
            return seen.status

        lab.wait_until(f"{instance} to be {status}", look, lambda seen: seen == status)

    def test_a_listing_is_read_page_by_page_in_both_styles(self) -> None:
        made = self.make_vpc("10.7.0.0/16")
        groups = {self.make_group(made.vpc_id) for _ in range(12)}
        tables = {made.route_table_id} | {
            self.call.vpc.create_route_table(
                vpc.CreateRouteTableRequest(region_id=self.region, vpc_id=made.vpc_id)
            ).route_table_id
            for _ in range(4)
        }
        seen, token = [], None
        while True:
            request = ecs.DescribeSecurityGroupsRequest(
                region_id=self.region, vpc_id=made.vpc_id, max_results=10, next_token=token
            )
            page = self.call.ecs.describe_security_groups(request)
            seen += [row.security_group_id for row in page.security_groups.security_group]
            token = page.next_token
            if not token:
                break
        self.assertEqual((len(seen), set(seen)), (12, groups))
        seen = []
        for number in (1, 2, 3):
            page = self.call.vpc.describe_route_table_list(
                vpc.DescribeRouteTableListRequest(
                    region_id=self.region, vpc_id=made.vpc_id, page_number=number, page_size=2
                )
            )
            self.assertEqual((page.total_count, page.page_number, page.page_size), (5, number, 2))
            seen += [row.route_table_id for row in page.router_table_list.router_table_list_type]
        self.assertEqual((len(seen), set(seen)), (5, tables))

    def test_a_peering_connection_is_accepted_and_carries_a_route(self) -> None:
        other = self.site.caller("B", self.region)
        near, far = self.make_vpc("10.8.0.0/16"), self.make_vpc("10.9.0.0/16", other)
        connection = self.call.vpcpeer.create_vpc_peer_connection(
            peer.CreateVpcPeerConnectionRequest(
                region_id=self.region,
                vpc_id=near.vpc_id,
                accepting_ali_uid=int(self.site.accounts["B"].id),
                accepting_region_id=self.region,
                accepting_vpc_id=far.vpc_id,
                name="by-sdk",
            )
        ).instance_id
        one = dict(instance_id=connection)

        def seen_by(call: lab.Caller) -> peer.GetVpcPeerConnectionAttributeResponseBody:
            return call.vpcpeer.get_vpc_peer_connection_attribute(peer.GetVpcPeerConnectionAttributeRequest(**one))

        lab.wait_until("the offer", lambda: seen_by(other), lambda seen: seen.status == "Accepting")
        other.vpcpeer.accept_vpc_peer_connection(peer.AcceptVpcPeerConnectionRequest(**one))
        for call in (self.call, other):
            seen = lab.wait_until("activation", lambda: seen_by(call), lambda seen: seen.status == "Activated")
            self.assertEqual((seen.vpc.vpc_id, seen.accepting_vpc.vpc_id), (near.vpc_id, far.vpc_id))
            self.assertEqual(seen.accepting_owner_uid, int(self.site.accounts["B"].id))
        listed = self.call.vpcpeer.list_vpc_peer_connections(
            peer.ListVpcPeerConnectionsRequest(region_id=self.region, vpc_id=[near.vpc_id], max_results=20)
        )
        (row,) = listed.vpc_peer_connects
        self.assertEqual((row.instance_id, row.status, row.vpc.ipv_4cidrs), (connection, "Activated", ["10.8.0.0/16"]))
        route = dict(region_id=self.region, route_table_id=near.route_table_id, destination_cidr_block="10.9.0.0/16")
        self.call.vpc.create_route_entry(
            vpc.CreateRouteEntryRequest(next_hop_type="VpcPeer", next_hop_id=connection, **route)
        )
        entries = self.call.vpc.describe_route_entry_list(
            vpc.DescribeRouteEntryListRequest(
                region_id=self.region, route_table_id=near.route_table_id, destination_cidr_block="10.9.0.0/16"
            )
        )
        (entry,) = entries.route_entrys.route_entry
        self.assertEqual([hop.next_hop_id for hop in entry.next_hops.next_hop], [connection])
        self.call.vpc.delete_route_entry(vpc.DeleteRouteEntryRequest(next_hop_id=connection, **route))
        self.call.vpcpeer.delete_vpc_peer_connection(peer.DeleteVpcPeerConnectionRequest(**one))


class ObjectsAsBefore(Objects):
    """The same with the older signature, in another region."""

    signature = lab.OLDER
    region = "cn-shanghai"


if __name__ == "__main__":
    unittest.main()
