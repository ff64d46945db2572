"""The tutorial once more through the vendor's older SDK (`aliyunsdkcore`), which signs with HMAC-SHA1, keeps its
connections open and reads errors in its own way.

Starts from a lab with `--topology tutorial --unconnected`.
"""

from __future__ import annotations

import json
import unittest
from typing import Any

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.request import CommonRequest, RpcRequest
from aliyunsdkecs.request.v20140526.AuthorizeSecurityGroupRequest import AuthorizeSecurityGroupRequest
from aliyunsdkecs.request.v20140526.DescribeSecurityGroupAttributeRequest import DescribeSecurityGroupAttributeRequest
from aliyunsdkvpc.request.v20160428.ConnectRouterInterfaceRequest import ConnectRouterInterfaceRequest
from aliyunsdkvpc.request.v20160428.CreateRouteEntryRequest import CreateRouteEntryRequest
from aliyunsdkvpc.request.v20160428.CreateRouterInterfaceRequest import CreateRouterInterfaceRequest
from aliyunsdkvpc.request.v20160428.DescribeRouteEntryListRequest import DescribeRouteEntryListRequest
from aliyunsdkvpc.request.v20160428.DescribeRouterInterfaceAttributeRequest import (
    DescribeRouterInterfaceAttributeRequest,
)
from aliyunsdkvpc.request.v20160428.DescribeRouterInterfacesRequest import DescribeRouterInterfacesRequest
from aliyunsdkvpc.request.v20160428.DescribeVpcsRequest import DescribeVpcsRequest
from aliyunsdkvpc.request.v20160428.ModifyRouterInterfaceAttributeRequest import ModifyRouterInterfaceAttributeRequest

import lab


class Side:
    """One account's half of the tutorial."""

    def __init__(self, site: lab.Site, account: str, name: str) -> None:
        self.symbols = site.symbols
        self.id, self.region = site.symbols[f"{account}.id"], site.symbols[f"{name}.region"]
        self.vrouter, self.cidr = site.symbols[f"{name}.vrouter"], site.symbols[f"{name}.cidr"]
        self.table, self.group = site.symbols[f"{name}.route_table"], site.symbols[f"{account}.sg1"]
        self.interface = ""
        self.host, _, self.port = site.host.partition(":")
        keys = site.accounts[account]
        self.client = self.signing_with(keys.access_key_id, keys.access_key_secret)

    def signing_with(self, key: str, secret: str) -> AcsClient:
        return AcsClient(key, secret, self.region, port=int(self.port or 80), auto_retry=False)

    def do(self, request: RpcRequest, client: AcsClient | None = None, **values: Any) -> dict[str, Any]:
        for name, value in values.items():
            getattr(request, f"set_{name}")(value)
        request.set_protocol_type("http")
        request.set_endpoint(self.host)
        answer = json.loads((client or self.client).do_action_with_exception(request))
        lab.note_call(f"{request.get_product().lower()}:{request.get_action_name()}")
        return answer

    def interface_now(self) -> dict[str, Any]:
        return self.do(DescribeRouterInterfaceAttributeRequest(), InstanceId=self.interface)


class Legacy(unittest.TestCase):
    """The tutorial, and a wrong secret."""

    def setUp(self) -> None:
        site = lab.site()
        self.a, self.b = Side(site, "A", "A.vpc1"), Side(site, "B", "B.vpc2")
        self.sides = [(self.a, self.b), (self.b, self.a)]

    def test_from_nothing_to_connected(self) -> None:
        for own, other, role, spec in (
            (self.a, self.b, "InitiatingSide", "Mini.2"),
            (self.b, self.a, "AcceptingSide", "Negative"),
        ):
            made = own.do(
                CreateRouterInterfaceRequest(),
                RouterType="VRouter",
                RouterId=own.vrouter,
                Role=role,
                Spec=spec,
                OppositeRegionId=other.region,
                OppositeRouterType="VRouter",
            )
            own.interface = made["RouterInterfaceId"]
        for own, other in self.sides:
            own.do(
                ModifyRouterInterfaceAttributeRequest(),
                RouterInterfaceId=own.interface,
                OppositeInterfaceId=other.interface,
                OppositeRouterId=other.vrouter,
                OppositeRouterType="VRouter",
                OppositeInterfaceOwnerId=other.id,
            )
        self.a.do(ConnectRouterInterfaceRequest(), RouterInterfaceId=self.a.interface)
        for own, other in self.sides:
            lab.wait_until("Active", own.interface_now, lambda seen: seen["Status"] == "Active")
            by_id = [{"Key": "RouterInterfaceId", "Value": [own.interface]}]
            listed = own.do(DescribeRouterInterfacesRequest(), Filters=by_id, PageSize=50)
            (seen,) = listed["RouterInterfaceSet"]["RouterInterfaceType"]
            self.assertEqual((seen["RouterInterfaceId"], seen["Status"]), (own.interface, "Active"))
            made = own.do(
                CreateRouteEntryRequest(),
                RouteTableId=own.table,
                DestinationCidrBlock=other.cidr,
                NextHopType="RouterInterface",
                NextHopId=own.interface,
            )
            listed = own.do(DescribeRouteEntryListRequest(), RouteTableId=own.table, MaxResult=100)
            routes = {entry["RouteEntryId"]: entry for entry in listed["RouteEntrys"]["RouteEntry"]}
            self.assertEqual(routes[made["RouteEntryId"]]["DestinationCidrBlock"], other.cidr)
            own.do(
                AuthorizeSecurityGroupRequest(),
                SecurityGroupId=own.group,
                IpProtocol="icmp",
                PortRange="-1/-1",
                SourceCidrIp=other.cidr,
            )
            listed = own.do(DescribeSecurityGroupAttributeRequest(), SecurityGroupId=own.group)
            (rule,) = listed["Permissions"]["Permission"]
            self.assertEqual((rule["SourceCidrIp"], rule["Policy"]), (other.cidr, "Accept"))

    def test_a_common_request_names_its_action_itself(self) -> None:
        request = CommonRequest(domain=self.a.host, version="2015-04-01", action_name="GetCallerIdentity")
        request.set_method("POST")
        request.set_protocol_type("http")
        answer = json.loads(self.a.client.do_action_with_exception(request))
        self.assertEqual(answer["AccountId"], self.a.id)

    def test_a_wrong_secret_is_told_from_another_string_to_sign(self) -> None:
        wrong = self.a.signing_with(self.a.client.get_access_key(), "not-the-secret")
        with self.assertRaises(ServerException) as caught:
            self.a.do(DescribeVpcsRequest(), wrong)
        # Only where the server's string to sign equals its own does this SDK blame the secret.
        self.assertEqual(caught.exception.get_error_code(), "InvalidAccessKeySecret")
        self.assertEqual(caught.exception.get_http_status(), 400)

    def test_an_unknown_key(self) -> None:
        with self.assertRaises(ServerException) as caught:
            self.a.do(DescribeVpcsRequest(), self.a.signing_with("LTAI5tNobodyHasThis", "x"))
        self.assertEqual(caught.exception.get_error_code(), "InvalidAccessKeyId.NotFound")
        self.assertEqual(caught.exception.get_http_status(), 404)


if __name__ == "__main__":
    unittest.main()
