"""What the lab refuses, as the vendor's SDK raises it: class, code, status, request id.

Needs a lab whose account B is throttled.
"""

from __future__ import annotations

import dataclasses
import unittest
import uuid
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_sts20150401 import models as sts
from alibabacloud_tea_openapi.exceptions import AlibabaCloudException, ClientException, ThrottlingException
from alibabacloud_vpc20160428 import models as vpc

import lab

SIGNER = "alibabacloud_tea_openapi.client.Utils"


class Refusals(unittest.TestCase):
    """One refusal each."""

    signature: str | None = None

    def setUp(self) -> None:
        self.site = lab.site(self.signature)
        self.account = self.site.accounts["A"]
        self.region = self.site.symbols["A.vpc1.region"]
        self.vpcs = vpc.DescribeVpcsRequest(region_id=self.region)

    def as_account(self, **changes: str) -> lab.Caller:
        return self.site.caller(dataclasses.replace(self.account, **changes), self.region)

    def refused(self, code: str, status: int, call: Any, request: Any = None) -> AlibabaCloudException:
        with self.assertRaises(AlibabaCloudException) as caught:
            call(request)
        error = caught.exception
        self.assertEqual((error.code, error.status_code), (code, status), error.message)
        self.assertRegex(error.request_id, "^[0-9A-F-]{36}$")
        self.assertEqual(error.data["HostId"], self.site.host)
        return error

    def test_a_wrong_secret(self) -> None:
        wrong = self.as_account(access_key_secret="not-the-secret")
        error = self.refused("SignatureDoesNotMatch", 400, wrong.vpc.describe_vpcs, self.vpcs)
        self.assertIsInstance(error, ClientException)
        begins = "POST&%2F&" if self.signature == lab.OLDER else "ACS3-HMAC-SHA256\n"
        self.assertIn(f"server string to sign is:{begins}", error.message)

    def test_an_unknown_key(self) -> None:
        unknown = self.as_account(access_key_id="LTAI5tNobodyHasThis")
        self.refused("InvalidAccessKeyId.NotFound", 404, unknown.vpc.describe_vpcs, self.vpcs)

    def test_a_request_that_comes_again(self) -> None:
        call = self.as_account()
        with mock.patch(f"{SIGNER}.get_nonce", return_value=f"the-same-both-times-{uuid.uuid4()}"):
            call.vpc.describe_vpcs(self.vpcs)
            self.refused("SignatureNonceUsed", 400, call.vpc.describe_vpcs, self.vpcs)

    def test_a_clock_that_is_off(self) -> None:
        old = (datetime.now(timezone.utc) - timedelta(minutes=16)).strftime("%Y-%m-%dT%H:%M:%SZ")
        with mock.patch(f"{SIGNER}.get_timestamp", return_value=old):
            self.refused("InvalidTimeStamp.Expired", 400, self.as_account().vpc.describe_vpcs, self.vpcs)

    def test_another_sessions_token(self) -> None:
        request = sts.AssumeRoleRequest(
            role_arn=f"acs:ram::{self.account.id}:role/pingtong-collector", role_session_name="by-sdk"
        )
        keys = self.as_account().sts.assume_role(request).credentials
        call = self.as_account(
            access_key_id=keys.access_key_id, access_key_secret=keys.access_key_secret, security_token="another"
        )
        self.refused("InvalidSecurityToken.MismatchWithAccessKey", 400, call.vpc.describe_vpcs, self.vpcs)

    def test_flow_control(self) -> None:
        call = self.site.caller("B", self.region)
        error = self.refused("Throttling.User", 400, call.vpc.describe_vpcs, self.vpcs)
        self.assertIsInstance(error, ThrottlingException)
        self.assertGreater(error.retry_after, 0)

    def test_a_role_that_nobody_may_assume(self) -> None:
        other = self.site.accounts["B"].id
        request = sts.AssumeRoleRequest(
            role_arn=f"acs:ram::{other}:role/pingtong-collector", role_session_name="by-sdk"
        )
        self.refused("NoPermission", 403, self.as_account().sts.assume_role, request)

    def test_an_interface_that_does_not_exist(self) -> None:
        request = vpc.DescribeRouterInterfaceAttributeRequest(region_id=self.region, instance_id="ri-none")
        call = self.as_account().vpc.describe_router_interface_attribute
        self.refused("InvalidRouterInterfaceId.NotFound", 404, call, request)

    def test_a_parameter_left_out(self) -> None:
        self.refused("MissingRouteTableId", 400, self.as_account().vpc.create_route_entry, vpc.CreateRouteEntryRequest())

    def test_a_group_of_another_vpc_as_source(self) -> None:
        call = self.as_account()
        made = call.vpc.create_vpc(vpc.CreateVpcRequest(region_id=self.region, cidr_block="10.0.0.0/16"))
        far = call.ecs.create_security_group(
            ecs.CreateSecurityGroupRequest(region_id=self.region, vpc_id=made.vpc_id, security_group_type="normal")
        )
        rule = ecs.AuthorizeSecurityGroupRequestPermissions(
            ip_protocol="icmp", port_range="-1/-1", source_group_id=far.security_group_id
        )
        request = ecs.AuthorizeSecurityGroupRequest(
            region_id=self.region, security_group_id=self.site.symbols["A.sg1"], permissions=[rule]
        )
        self.refused("InvalidSourceGroupId.Mismatch", 400, call.ecs.authorize_security_group, request)


class RefusalsAsBefore(Refusals):
    """The same with the older signature."""

    signature = lab.OLDER


if __name__ == "__main__":
    unittest.main()
