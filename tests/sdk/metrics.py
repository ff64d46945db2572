"""CloudMonitor's metrics of router interfaces through the vendor's own typed models. Needs any lab."""

from __future__ import annotations

import json
import time
import unittest

from alibabacloud_cms20190101 import models as cms
from alibabacloud_vpc20160428 import models as vpc

import lab


class Metrics(unittest.TestCase):
    """As the client asks for them."""

    def test_a_router_interfaces_metric_is_a_list_of_points(self) -> None:
        site = lab.site()
        region = site.symbols["A.vpc1.region"]
        call = site.caller("A", region)
        interface = call.vpc.create_router_interface(
            vpc.CreateRouterInterfaceRequest(
                region_id=region,
                router_type="VRouter",
                router_id=site.symbols["A.vpc1.vrouter"],
                role="InitiatingSide",
                spec="Mini.2",
                opposite_region_id=site.symbols["B.vpc2.region"],
                opposite_router_type="VRouter",
            )
        ).router_interface_id
        now = int(time.time() * 1000)
        answer = call.cms.describe_metric_list(
            cms.DescribeMetricListRequest(
                namespace="acs_express_connect",
                metric_name="RateLimitDropPps",
                dimensions=json.dumps([{"instanceId": interface}]),
                period="60",
                start_time=str(now - 15 * 60 * 1000),
                end_time=str(now),
                length="1440",
            )
        )
        self.assertEqual((answer.code, answer.success, answer.period), ("200", True, "60"))
        for point in json.loads(answer.datapoints):
            self.assertEqual(point["instanceId"], interface)
            self.assertLessEqual({"timestamp", "Average", "Maximum"}, set(point))


if __name__ == "__main__":
    unittest.main()
