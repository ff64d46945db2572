"""The lab as an SDK's user sees it: an endpoint, accounts with keys, and the vendor's own clients.

A program of this directory gets the JSON line of `pingtong-lab cloud` or `pingtong-lab up` in PINGTONG_LAB. Every
answer is read through the SDK's typed model and compared with what came over the wire: a field that the model does not
know, or a value of another type than the model's, is a failure wherever it shows. On its last line a program prints
which calls it made.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import time
from dataclasses import dataclass
from typing import Any, Callable, TypeVar

from alibabacloud_tea_openapi.models import Config

import shapes

OLDER = "v2"
"""What makes the SDKs sign as they did before: HMAC-SHA1, in parameters."""

WAIT_SECONDS = 10.0
"""How long a state of the cloud may take to come."""

PACKAGES = {
    "vpc": "alibabacloud_vpc20160428",
    "ecs": "alibabacloud_ecs20140526",
    "sts": "alibabacloud_sts20150401",
    "vpcpeer": "alibabacloud_vpcpeer20220101",
    "cbn": "alibabacloud_cbn20170912",
    "cms": "alibabacloud_cms20190101",
    "actiontrail": "alibabacloud_actiontrail20200706",
}
"""The vendor's package of each product. Loaded when first used: the large ones take a second."""

SAMPLES_SAY = {
    "vpc:DescribeNetworkAcls": {".page_number", ".page_size", ".total_count"},
    "vpc:DescribeRouterInterfaces": {".router_interface_set.router_interface_type[].has_reservation_data"},
    "ecs:DescribeSecurityGroupAttribute": {".permissions.permission[].priority"},
    "vpc:DescribeRouterInterfaceAttribute": {".code", ".fast_link_mode", ".has_reservation_data"},
}
"""Fields whose documented samples have another type than the models: there the samples are right."""

T = TypeVar("T")
_called: set[str] = set()


@dataclass(frozen=True)
class Account:
    """An account and its key."""

    name: str
    id: str
    access_key_id: str
    access_key_secret: str
    security_token: str | None = None


@dataclass(frozen=True)
class Site:
    """A running lab."""

    endpoint: str
    accounts: dict[str, Account]
    symbols: dict[str, str]
    signature: str | None

    @property
    def host(self) -> str:
        """Address and port, as the SDKs take an endpoint."""
        return self.endpoint.removeprefix("http://").rstrip("/")

    def config(self, account: Account, region: str) -> Config:
        """What makes an SDK's client call the lab."""
        return Config(
            access_key_id=account.access_key_id,
            access_key_secret=account.access_key_secret,
            security_token=account.security_token,
            region_id=region,
            endpoint=self.host,
            protocol="http",
            signature_algorithm=self.signature,
        )

    def caller(self, account: Account | str, region: str) -> Caller:
        """Every product's client, as one account in one region."""
        return Caller(self.config(self.accounts[account] if isinstance(account, str) else account, region))


class Caller:
    """The vendor's clients of one account in one region."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._held: dict[str, Checked] = {}

    def __getattr__(self, product: str) -> Checked:
        if product not in self._held:
            self._held[product] = Checked(product, client(product, self._config))
        return self._held[product]


class Checked:
    """A vendor's client whose answers are held against its own models."""

    def __init__(self, product: str, client: Any) -> None:
        self._product = product
        self._client = client
        self._raw: Any = None
        self._action = ""
        sends = client.call_api

        def call_api(params: Any, request: Any, runtime: Any) -> dict[str, Any]:
            self._action = f"{product}:{params.action}"
            answer = sends(params, request, runtime)
            self._raw = answer["body"]
            return answer

        client.call_api = call_api

    def __getattr__(self, method: str) -> Callable[..., Any]:
        call = getattr(self._client, method)

        def checked(request: Any = None) -> Any:
            response = call(request) if request is not None else call()
            complaints = shapes.strangers(self._raw, response.body, SAMPLES_SAY.get(self._action, set()))
            assert not complaints, f"{self._action} answers with {', '.join(complaints)}"
            assert response.body.request_id, f"{self._action} answers without RequestId"
            _called.add(self._action)
            return response.body

        return checked


def client(product: str, config: Config) -> Any:
    """The vendor's client of a product."""
    return importlib.import_module(f"{PACKAGES[product]}.client").Client(config)


def site(signature: str | None = None) -> Site:
    """The lab that this program was given; calls are signed as the SDK does by itself, or as said."""
    line = json.loads(os.environ["PINGTONG_LAB"])
    named = ("name", "id", "access_key_id", "access_key_secret")
    accounts = [Account(**{key: account[key] for key in named}) for account in line["accounts"]]
    return Site(line["endpoint"], {account.name: account for account in accounts}, line["symbols"], signature)


def wait_until(what: str, look: Callable[[], T], holds: Callable[[T], bool]) -> T:
    """Looks until it holds, for a bounded time."""
    end = time.monotonic() + WAIT_SECONDS
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < end, f"waited {WAIT_SECONDS} s in vain for {what}; last seen: {seen}"
        time.sleep(0.05)


def note_call(action: str) -> None:
    """Counts a call that another client made."""
    _called.add(action)


@atexit.register
def _tell_calls() -> None:
    print(json.dumps({"called": sorted(_called)}))
