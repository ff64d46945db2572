"""The whole tutorial, done and read back through the vendor's own typed models, as both accounts.

Starts from a lab with `--topology tutorial --unconnected`: VPCs and instances exist, no step is done.
"""

from __future__ import annotations

import unittest

from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_sts20150401 import models as sts
from alibabacloud_vpc20160428 import models as vpc

import lab


class Side:
    """One account's half of the tutorial."""

    def __init__(self, site: lab.Site, account: str, name: str) -> None:
        symbols = site.symbols
        self.account = account
        self.id = symbols[f"{account}.id"]
        self.region = symbols[f"{name}.region"]
        self.vpc = symbols[name]
        self.cidr = symbols[f"{name}.cidr"]
        self.vrouter = symbols[f"{name}.vrouter"]
        self.table = symbols[f"{name}.route_table"]
        self.vswitch = symbols[f"{name}.vsw1"]
        self.group = symbols[f"{account}.sg1"]
        self.instance = symbols[f"{account}.ecs1"]
        self.eni = symbols[f"{account}.ecs1.eni"]
        self.address = symbols[f"{account}.ecs1.ip"]
        self.call = site.caller(account, self.region)
        self.interface = ""

    def interface_now(self) -> vpc.DescribeRouterInterfaceAttributeResponseBody:
        request = vpc.DescribeRouterInterfaceAttributeRequest(region_id=self.region, instance_id=self.interface)
        return self.call.vpc.describe_router_interface_attribute(request)

    def wait_until(self, status: str) -> None:
        lab.wait_until(f"{self.interface} to be {status}", self.interface_now, lambda seen: seen.status == status)


class Tutorial(unittest.TestCase):
    """Its steps, in order, and back again."""

    signature: str | None = None

    def setUp(self) -> None:
        site = lab.site(self.signature)
        self.a, self.b = Side(site, "A", "A.vpc1"), Side(site, "B", "B.vpc2")
        self.sides = [(self.a, self.b), (self.b, self.a)]

    def test_from_nothing_to_connected(self) -> None:
        self.prerequisites()
        self.create(self.a, self.b, "InitiatingSide", "Mini.2")
        self.create(self.b, self.a, "AcceptingSide", "Negative")
        for own, other in reversed(self.sides):
            self.add_opposite(own, other)
        self.connect()
        self.routes()
        self.rules()
        self.pause()
        self.undo()

    def prerequisites(self) -> None:
        for own, _ in self.sides:
            who = own.call.sts.get_caller_identity()
            self.assertEqual((who.account_id, who.identity_type), (own.id, "Account"))
            self.assertEqual(who.arn, f"acs:ram::{own.id}:root")
            regions = own.call.vpc.describe_regions(vpc.DescribeRegionsRequest()).regions.region
            self.assertIn(own.region, [region.region_id for region in regions])
            request = vpc.DescribeVpcsRequest(region_id=own.region, page_number=1, page_size=50)
            listed = own.call.vpc.describe_vpcs(request)
            self.assertEqual((listed.total_count, listed.page_number, listed.page_size), (1, 1, 50))
            (seen,) = listed.vpcs.vpc
            self.assertEqual(
                (seen.vpc_id, seen.cidr_block, seen.vrouter_id, seen.status, seen.owner_id),
                (own.vpc, own.cidr, own.vrouter, "Available", int(own.id)),
            )
            one = own.call.vpc.describe_vpc_attribute(
                vpc.DescribeVpcAttributeRequest(region_id=own.region, vpc_id=own.vpc)
            )
            self.assertEqual((one.vrouter_id, one.v_switch_ids.v_switch_id), (own.vrouter, [own.vswitch]))
            routers = own.call.vpc.describe_vrouters(vpc.DescribeVRoutersRequest(region_id=own.region))
            (router,) = routers.vrouters.vrouter
            self.assertEqual((router.vrouter_id, router.route_table_ids.route_table_id), (own.vrouter, [own.table]))
            self.vswitch_and_instance(own)

    def vswitch_and_instance(self, own: Side) -> None:
        request = vpc.DescribeVSwitchesRequest(region_id=own.region, vpc_id=own.vpc, page_size=50)
        (vswitch,) = own.call.vpc.describe_vswitches(request).v_switches.v_switch
        self.assertEqual((vswitch.v_switch_id, vswitch.route_table.route_table_id), (own.vswitch, own.table))
        one = own.call.vpc.describe_vswitch_attributes(
            vpc.DescribeVSwitchAttributesRequest(region_id=own.region, v_switch_id=own.vswitch)
        )
        self.assertEqual((one.cidr_block, one.zone_id), (vswitch.cidr_block, vswitch.zone_id))
        found = own.call.ecs.describe_instances(
            ecs.DescribeInstancesRequest(region_id=own.region, vpc_id=own.vpc, max_results=100)
        )
        (instance,) = found.instances.instance
        self.assertEqual((instance.instance_id, instance.status), (own.instance, "Running"))
        self.assertEqual(instance.vpc_attributes.private_ip_address.ip_address, [own.address])
        self.assertEqual(instance.security_group_ids.security_group_id, [own.group])
        enis = own.call.ecs.describe_network_interfaces(
            ecs.DescribeNetworkInterfacesRequest(region_id=own.region, instance_id=own.instance, max_results=100)
        )
        (eni,) = enis.network_interface_sets.network_interface_set
        self.assertEqual((eni.network_interface_id, eni.private_ip_address, eni.type), (own.eni, own.address, "Primary"))

    def create(self, own: Side, other: Side, role: str, spec: str) -> None:
        made = own.call.vpc.create_router_interface(
            vpc.CreateRouterInterfaceRequest(
                region_id=own.region,
                router_type="VRouter",
                router_id=own.vrouter,
                role=role,
                spec=spec,
                opposite_region_id=other.region,
                opposite_router_type="VRouter",
                name="by-sdk",
            )
        )
        own.interface = made.router_interface_id
        self.assertRegex(own.interface, "^ri-")
        seen = own.interface_now()
        self.assertEqual((seen.status, seen.role, seen.spec, seen.name), ("Idle", role, spec, "by-sdk"))
        self.assertEqual((seen.router_id, seen.opposite_region_id), (own.vrouter, other.region))

    def add_opposite(self, own: Side, other: Side) -> None:
        own.call.vpc.modify_router_interface_attribute(
            vpc.ModifyRouterInterfaceAttributeRequest(
                region_id=own.region,
                router_interface_id=own.interface,
                opposite_interface_id=other.interface,
                opposite_router_id=other.vrouter,
                opposite_router_type="VRouter",
                opposite_interface_owner_id=int(other.id),
            )
        )
        seen = own.interface_now()
        self.assertEqual(
            (seen.opposite_interface_id, seen.opposite_router_id, seen.opposite_interface_owner_id),
            (other.interface, other.vrouter, other.id),
        )

    def connect(self) -> None:
        self.a.call.vpc.connect_router_interface(
            vpc.ConnectRouterInterfaceRequest(region_id=self.a.region, router_interface_id=self.a.interface)
        )
        for own, other in self.sides:
            own.wait_until("Active")
            by_id = vpc.DescribeRouterInterfacesRequestFilter(key="RouterInterfaceId", value=[own.interface])
            listed = own.call.vpc.describe_router_interfaces(
                vpc.DescribeRouterInterfacesRequest(region_id=own.region, page_size=50, filter=[by_id])
            )
            self.assertEqual(listed.total_count, 1)
            (seen,) = listed.router_interface_set.router_interface_type
            self.assertEqual(
                (seen.status, seen.business_status, seen.opposite_interface_status, seen.opposite_vpc_instance_id),
                ("Active", "Normal", "Active", other.vpc),
            )
            self.assertRegex(seen.connected_time, r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z$")

    def routes(self) -> None:
        for own, other in self.sides:
            made = own.call.vpc.create_route_entry(
                vpc.CreateRouteEntryRequest(
                    region_id=own.region,
                    route_table_id=own.table,
                    destination_cidr_block=other.cidr,
                    next_hop_type="RouterInterface",
                    next_hop_id=own.interface,
                )
            )
            listed = own.call.vpc.describe_route_entry_list(
                vpc.DescribeRouteEntryListRequest(region_id=own.region, route_table_id=own.table, max_result=100)
            )
            ours = [entry for entry in listed.route_entrys.route_entry if entry.type == "Custom"]
            (entry,) = ours
            (hop,) = entry.next_hops.next_hop
            self.assertEqual(
                (entry.route_entry_id, entry.destination_cidr_block, entry.status),
                (made.route_entry_id, other.cidr, "Available"),
            )
            self.assertEqual((hop.next_hop_type, hop.next_hop_id), ("RouterInterface", own.interface))
            tables = own.call.vpc.describe_route_table_list(
                vpc.DescribeRouteTableListRequest(region_id=own.region, vpc_id=own.vpc, page_size=50)
            )
            (table,) = tables.router_table_list.router_table_list_type
            self.assertEqual((table.route_table_id, table.route_table_type), (own.table, "System"))
            whole = own.call.vpc.describe_route_tables(
                vpc.DescribeRouteTablesRequest(region_id=own.region, route_table_id=own.table)
            )
            (table,) = whole.route_tables.route_table
            self.assertIn(other.cidr, [entry.destination_cidr_block for entry in table.route_entrys.route_entry])

    def rules(self) -> None:
        for own, other in self.sides:
            rule = dict(ip_protocol="icmp", port_range="-1/-1", policy="accept", priority="1", nic_type="intranet")
            own.call.ecs.authorize_security_group(
                ecs.AuthorizeSecurityGroupRequest(
                    region_id=own.region,
                    security_group_id=own.group,
                    permissions=[
                        ecs.AuthorizeSecurityGroupRequestPermissions(source_cidr_ip=other.cidr, **rule),
                    ],
                )
            )
            own.call.ecs.authorize_security_group_egress(
                ecs.AuthorizeSecurityGroupEgressRequest(
                    region_id=own.region,
                    security_group_id=own.group,
                    permissions=[
                        ecs.AuthorizeSecurityGroupEgressRequestPermissions(dest_cidr_ip=other.cidr, **rule),
                    ],
                )
            )
            groups = own.call.ecs.describe_security_groups(
                ecs.DescribeSecurityGroupsRequest(region_id=own.region, vpc_id=own.vpc, max_results=100)
            )
            (group,) = groups.security_groups.security_group
            self.assertEqual((group.security_group_id, group.security_group_type), (own.group, "normal"))
            seen = own.call.ecs.describe_security_group_attribute(
                ecs.DescribeSecurityGroupAttributeRequest(region_id=own.region, security_group_id=own.group)
            )
            self.assertEqual((seen.vpc_id, seen.inner_access_policy), (own.vpc, "Accept"))
            rules = {rule.direction: rule for rule in seen.permissions.permission}
            self.assertEqual(set(rules), {"ingress", "egress"})
            ingress, egress = rules["ingress"], rules["egress"]
            self.assertEqual(
                (ingress.source_cidr_ip, ingress.ip_protocol, ingress.port_range, ingress.policy, ingress.priority),
                (other.cidr, "ICMP", "-1/-1", "Accept", 1),
            )
            self.assertEqual((egress.dest_cidr_ip, egress.policy), (other.cidr, "Accept"))

    def pause(self) -> None:
        """Off and on again, and another bandwidth."""
        one = dict(region_id=self.a.region, router_interface_id=self.a.interface)
        self.a.call.vpc.deactivate_router_interface(vpc.DeactivateRouterInterfaceRequest(**one))
        self.a.wait_until("Inactive")
        self.a.call.vpc.activate_router_interface(vpc.ActivateRouterInterfaceRequest(**one))
        self.a.wait_until("Active")
        self.a.call.vpc.modify_router_interface_spec(vpc.ModifyRouterInterfaceSpecRequest(spec="Small.1", **one))
        seen = lab.wait_until("the new bandwidth", self.a.interface_now, lambda seen: seen.spec == "Small.1")
        self.assertEqual(seen.bandwidth, 10)

    def undo(self) -> None:
        for own, other in self.sides:
            group = dict(region_id=own.region, security_group_id=own.group)
            rule = dict(ip_protocol="icmp", port_range="-1/-1", policy="accept", priority="1", nic_type="intranet")
            own.call.ecs.revoke_security_group(
                ecs.RevokeSecurityGroupRequest(source_cidr_ip=other.cidr, **group, **rule)
            )
            own.call.ecs.revoke_security_group_egress(
                ecs.RevokeSecurityGroupEgressRequest(dest_cidr_ip=other.cidr, **group, **rule)
            )
            seen = own.call.ecs.describe_security_group_attribute(ecs.DescribeSecurityGroupAttributeRequest(**group))
            self.assertEqual(seen.permissions.permission, [])
            own.call.vpc.delete_route_entry(
                vpc.DeleteRouteEntryRequest(
                    region_id=own.region,
                    route_table_id=own.table,
                    destination_cidr_block=other.cidr,
                    next_hop_id=own.interface,
                )
            )
            own.call.vpc.deactivate_router_interface(
                vpc.DeactivateRouterInterfaceRequest(region_id=own.region, router_interface_id=own.interface)
            )
            own.wait_until("Inactive")
        for own, _ in self.sides:
            own.call.vpc.delete_router_interface(
                vpc.DeleteRouterInterfaceRequest(region_id=own.region, router_interface_id=own.interface)
            )
            request = vpc.DescribeRouterInterfacesRequest(region_id=own.region, page_size=50)
            lab.wait_until(
                f"{own.interface} to be gone",
                lambda own=own, request=request: own.call.vpc.describe_router_interfaces(request),
                lambda seen: seen.total_count == 0,
            )


class TutorialAsBefore(Tutorial):
    """The same with the older signature."""

    signature = lab.OLDER


class AssumedRole(unittest.TestCase):
    """Temporary credentials of a role."""

    signature: str | None = None

    def test_a_role_reads_its_account_and_changes_nothing(self) -> None:
        site = lab.site(self.signature)
        own = Side(site, "A", "A.vpc1")
        session = own.call.sts.assume_role(
            sts.AssumeRoleRequest(
                role_arn=f"acs:ram::{own.id}:role/pingtong-collector",
                role_session_name="by-sdk",
                duration_seconds=900,
            )
        )
        self.assertRegex(session.assumed_role_user.arn, "by-sdk$")
        keys = session.credentials
        self.assertRegex(keys.expiration, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        role = lab.Account("role", own.id, keys.access_key_id, keys.access_key_secret, keys.security_token)
        call = site.caller(role, own.region)
        self.assertEqual(call.sts.get_caller_identity().identity_type, "AssumedRoleUser")
        listed = call.vpc.describe_vpcs(vpc.DescribeVpcsRequest(region_id=own.region, page_size=50))
        self.assertEqual([one.vpc_id for one in listed.vpcs.vpc], [own.vpc])
        with self.assertRaises(Exception) as refused:
            call.vpc.create_vpc(vpc.CreateVpcRequest(region_id=own.region, cidr_block="10.0.0.0/16"))
        self.assertEqual(refused.exception.code, "Forbidden.RAM")
        self.assertEqual(refused.exception.access_denied_detail["AuthAction"], "vpc:CreateVpc")


class AssumedRoleAsBefore(AssumedRole):
    """The same with the older signature."""

    signature = lab.OLDER


if __name__ == "__main__":
    unittest.main()
