"""ActionTrail's record of a change through the vendor's own typed models. Needs any lab."""

from __future__ import annotations

import unittest
from datetime import datetime, timedelta, timezone
from typing import Any

from alibabacloud_actiontrail20200706 import models as trail
from alibabacloud_vpc20160428 import models as vpc

import lab


class Trail(unittest.TestCase):
    """As the client asks for it."""

    def test_who_changed_what(self) -> None:
        site = lab.site()
        region = site.symbols["A.vpc1.region"]
        call = site.caller("A", region)
        made = call.vpc.create_vpc(vpc.CreateVpcRequest(region_id=region, cidr_block="10.0.0.0/16"))
        now = datetime.now(timezone.utc)

        def look() -> list[dict[str, Any]]:
            answer = call.actiontrail.lookup_events(
                trail.LookupEventsRequest(
                    start_time=(now - timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    end_time=(now + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    max_results="50",
                    lookup_attribute=[trail.LookupEventsRequestLookupAttribute(key="EventRW", value="Write")],
                )
            )
            return [event for event in answer.events if event["eventName"] == "CreateVpc"]

        events = lab.wait_until("the event", look, lambda seen: any(e["requestId"] == made.request_id for e in seen))
        (event,) = [event for event in events if event["requestId"] == made.request_id]
        self.assertEqual((event["serviceName"], event["eventRW"], event["acsRegion"]), ("Vpc", "Write", region))
        self.assertEqual(event["userIdentity"]["accountId"], site.accounts["A"].id)


if __name__ == "__main__":
    unittest.main()
