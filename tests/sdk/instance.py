"""Runs inside an instance of a lab that is up: the vendor's credentials SDK gets the role's credentials from the
metadata service, at the address built into it, and calls are signed with them; before and after the metadata service
is hardened. The first argument is the instance's name.
"""

from __future__ import annotations

import sys
import unittest
import urllib.error
import urllib.request

from alibabacloud_credentials.client import Client as CredentialClient
from alibabacloud_credentials.models import Config as CredentialConfig
from alibabacloud_ecs20140526 import models as ecs
from alibabacloud_tea_openapi.models import Config
from alibabacloud_vpc20160428 import models as vpc

import lab

METADATA = "http://100.100.100.200/latest/meta-data/"
INSTANCE = sys.argv.pop()


class Instance(unittest.TestCase):
    """What a program on the instance can do."""

    def setUp(self) -> None:
        self.site = lab.site()
        self.account = INSTANCE.partition(".")[0]
        self.vpc = next(name for name in self.site.symbols if name.startswith(f"{self.account}.vpc") and name.count(".") == 1)
        self.region = self.site.symbols[f"{self.vpc}.region"]

    def test_the_role_reads_in_both_modes(self) -> None:
        self.assertEqual(self.without_token("instance-id"), self.site.symbols[INSTANCE])
        self.reads(disable_imds_v1=False)
        self.reads(disable_imds_v1=True)
        self.set_tokens("required")
        try:
            with self.assertRaises(urllib.error.HTTPError) as refused:
                self.without_token("instance-id")
            self.assertEqual(refused.exception.code, 403)
            self.reads(disable_imds_v1=False)
            self.reads(disable_imds_v1=True)
        finally:
            self.set_tokens("optional")

    def without_token(self, item: str) -> str:
        with urllib.request.urlopen(METADATA + item, timeout=5) as answer:
            return answer.read().decode()

    def set_tokens(self, mode: str) -> None:
        owner = self.site.caller(self.account, self.region)
        owner.ecs.modify_instance_metadata_options(
            ecs.ModifyInstanceMetadataOptionsRequest(
                region_id=self.region,
                instance_id=self.site.symbols[INSTANCE],
                http_endpoint="enabled",
                http_tokens=mode,
            )
        )

    def reads(self, disable_imds_v1: bool) -> None:
        credential = CredentialClient(CredentialConfig(type="ecs_ram_role", disable_imds_v1=disable_imds_v1))
        keys = credential.get_credential()
        self.assertRegex(keys.access_key_id, "^STS")
        self.assertTrue(keys.security_token)
        call = lab.Caller(
            Config(credential=credential, region_id=self.region, endpoint=self.site.host, protocol="http")
        )
        who = call.sts.get_caller_identity()
        self.assertEqual(who.account_id, self.site.accounts[self.account].id)
        self.assertEqual(who.identity_type, "AssumedRoleUser")
        self.assertIn("assumed-role/pingtong-agent/", who.arn)
        listed = call.vpc.describe_vpcs(vpc.DescribeVpcsRequest(region_id=self.region, page_size=50))
        self.assertEqual([one.vpc_id for one in listed.vpcs.vpc], [self.site.symbols[self.vpc]])


if __name__ == "__main__":
    unittest.main()
