"""Makes recorded requests once more through the vendor's typed request classes, and compares what goes out.

The first argument is a file with the requests of another client and the secrets they were signed with; standard input
is a listening socket at the address that they went to. From each request's parameters the SDK's own request is built
(a parameter that is no field of it is a failure), sent with the same key, time and nonce, and held against the
original: method, path, canonical query, body and its hash, action, version, content type, and the signature over the
headers that the original signs. This SDK signs every header it sends, `accept` and `user-agent` included; the
server goes by `SignedHeaders`, so another set is no difference. Nothing here knows of any call in particular.
"""

from __future__ import annotations

import importlib
import json
import socket
import sys
import threading
import typing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl

from alibabacloud_tea_openapi.models import Config
from alibabacloud_tea_openapi.utils import Utils, get_canonical_query_string
from darabonba.request import DaraRequest
from Tea.model import TeaModel

import lab
import shapes

ALGORITHM = "ACS3-HMAC-SHA256"
OF_THE_WIRE = {
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "SecurityToken",
    "Signature",
    "SignatureMethod",
    "SignatureNonce",
    "SignatureVersion",
    "Timestamp",
}
"""Parameters of the older signature rather than of a call."""


class Sent:
    """A request as it went over the wire."""

    def __init__(self, method: str, path: str, query: str, headers: dict[str, str], body: str) -> None:
        self.method, self.path, self.query, self.body = method, path, query, body
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.in_query, self.in_body = decode(query), decode(body)
        everything = self.in_query | self.in_body
        self.action = self.headers.get("x-acs-action") or everything["Action"]
        self.version = self.headers.get("x-acs-version") or everything["Version"]
        authorization = self.headers.get("authorization", "")
        fields = dict(part.split("=", 1) for part in authorization.removeprefix(ALGORITHM).strip().split(",") if part)
        self.newer = bool(fields)
        self.key = fields.get("Credential") or everything["AccessKeyId"]
        self.token = self.headers.get("x-acs-security-token") or everything.get("SecurityToken")
        self.time = self.headers.get("x-acs-date") or everything["Timestamp"]
        self.nonce = self.headers.get("x-acs-signature-nonce") or everything["SignatureNonce"]
        self.signed_headers = fields.get("SignedHeaders", "").split(";")
        self.signature = fields.get("Signature") or everything["Signature"]
        self.parameters = {name: value for name, value in everything.items() if name not in OF_THE_WIRE}


def decode(text: str) -> dict[str, str]:
    pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True) if text else []
    assert len(dict(pairs)) == len(pairs), f"a parameter comes twice in {text}"
    return dict(pairs)


class Recorder(BaseHTTPRequestHandler):
    """Keeps what comes in and answers an empty object."""

    protocol_version = "HTTP/1.1"
    kept: list[Sent] = []

    def do_POST(self) -> None:
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        self.kept.append(Sent(self.command, path, query, dict(self.headers), body))
        self.send_response(200)
        self.send_header("content-type", "application/json;charset=utf-8")
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST

    def log_message(self, *_: Any) -> None:
        pass


def listen(listening: socket.socket) -> None:
    """Serves on a socket that somebody else has bound."""
    listening.setblocking(True)
    server = HTTPServer(listening.getsockname(), Recorder, bind_and_activate=False)
    server.socket.close()
    server.socket = listening
    threading.Thread(target=server.serve_forever, daemon=True).start()


def product_of(version: str) -> str:
    """The product whose package carries this version."""
    (product,) = [name for name, package in lab.PACKAGES.items() if package.endswith(version.replace("-", ""))]
    return product


def nest(parameters: dict[str, str]) -> dict[str, Any]:
    """`Filter.1.Value.2=x` as lists and objects."""
    tree: dict[str, Any] = {}
    for name, value in parameters.items():
        *way, last = name.split(".")
        at = tree
        for part in way:
            at = at.setdefault(part, {})
        at[last] = value
    return {name: listed(value) for name, value in tree.items()}


def listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    inner = {name: listed(value) for name, value in node.items()}
    if all(name.isdigit() for name in inner):
        assert sorted(map(int, inner)) == list(range(1, len(inner) + 1)), f"a list is not numbered from 1: {node}"
        return [inner[str(number)] for number in range(1, len(inner) + 1)]
    return inner


def typed(value: Any, hint: Any) -> Any:
    """A text as the type that the model has."""
    if isinstance(value, TeaModel):
        for name, inner in shapes.hints(type(value)).items():
            setattr(value, name, typed(getattr(value, name), inner))
        return value
    if isinstance(value, list):
        return [typed(one, typing.get_args(hint)[0]) for one in value]
    if value is None:
        return None
    if typing.get_origin(hint) is list:
        # One form field, joined by commas.
        return [typed(one, typing.get_args(hint)[0]) for one in value.split(",")]
    if hint is bool:
        return {"true": True, "false": False}[value]
    return hint(value)


def request_of(product: str, action: str, parameters: dict[str, str]) -> Any | None:
    """The SDK's request with these parameters; none where the SDK's call takes none."""
    models = importlib.import_module(f"{lab.PACKAGES[product]}.models")
    model = getattr(models, f"{action}Request", None)
    if model is None:
        assert not parameters, f"{product}:{action} takes no parameters, not {sorted(parameters)}"
        return None
    given = nest(parameters)
    request = model().from_map(given)
    strangers = shapes.lost(given, request.to_map(), "")
    assert not strangers, f"the SDK's request {action} does not know: {', '.join(strangers)}"
    return typed(request, model)


def sent_by_sdk(original: Sent, host: str, secret: str) -> Sent:
    """The same call by the SDK, as it came over the wire."""
    product = product_of(original.version)
    config = Config(
        access_key_id=original.key,
        access_key_secret=secret,
        security_token=original.token,
        region_id=original.parameters.get("RegionId"),
        endpoint=host,
        protocol="http",
        signature_algorithm=None if original.newer else "v2",
    )
    client = lab.client(product, config)
    spelled = original.action.lower()
    (method,) = [name for name in dir(client) if name.replace("_", "") == spelled]
    request = request_of(product, original.action, original.parameters)
    Recorder.kept.clear()
    signer = "alibabacloud_tea_openapi.client.Utils"
    with mock.patch(f"{signer}.get_timestamp", return_value=original.time):
        with mock.patch(f"{signer}.get_nonce", return_value=original.nonce):
            getattr(client, method)(*([] if request is None else [request]))
    lab.note_call(f"{product}:{original.action}")
    (sent,) = Recorder.kept
    return sent


def canonical_acs3(sent: Sent) -> dict[str, Any]:
    """What the newer signature covers; the SDK's own encoding of the query."""
    facts: dict[str, Any] = {name: sent.headers.get(name) for name in ("host", "x-acs-action", "x-acs-version")}
    if sent.body:
        facts["content-type"] = sent.headers.get("content-type")
    return facts | {
        "method": sent.method,
        "path": sent.path,
        "canonical query": get_canonical_query_string(sent.in_query),
        "body": sent.body,
        "payload hash": sent.headers.get("x-acs-content-sha256"),
        "key": sent.headers.get("x-acs-accesskey-id"),
        "token": sent.headers.get("x-acs-security-token"),
    }


def canonical_rpc(sent: Sent) -> dict[str, Any]:
    """What the older signature covers: query and form together."""
    signed = sent.in_query | sent.in_body
    return {"method": sent.method, "path": sent.path, "signature": signed.pop("Signature")} | {
        "canonical query": get_canonical_query_string(signed)
    }


def signature_acs3(sent: Sent, names: list[str], key: str, secret: str) -> str:
    """The SDK's signature over these headers of a request."""
    request = DaraRequest()
    request.method, request.pathname, request.query = sent.method, sent.path, sent.in_query
    request.headers = {name: sent.headers[name] for name in names}
    payload = sent.headers["x-acs-content-sha256"]
    return Utils.get_authorization(request, ALGORITHM, payload, key, secret).rpartition("Signature=")[2]


def compare(original: Sent, host: str, secret: str) -> None:
    sdk = sent_by_sdk(original, host, secret)
    canonical = canonical_acs3 if original.newer else canonical_rpc
    ours, theirs = canonical(original), canonical(sdk)
    different = [f"{name}: {ours[name]!r}, by the SDK {theirs[name]!r}" for name in ours if ours[name] != theirs[name]]
    assert not different, f"{original.action} differs: " + "; ".join(different)
    if original.newer:
        # The wire carries the canonical form itself, and all that must be signed is.
        assert original.query == ours["canonical query"], f"{original.action} sends {original.query}"
        must = {name for name in original.headers if name.startswith("x-acs-") or name == "host"}
        must |= {"content-type"} & set(original.headers) if original.body else set()
        assert must <= set(original.signed_headers) <= set(sdk.headers), f"{original.action}: {original.signed_headers}"
        again = signature_acs3(sdk, original.signed_headers, original.key, secret)
        assert original.signature == again, f"{original.action} is signed otherwise"


def main() -> None:
    recorded = json.loads(Path(sys.argv[1]).read_text())
    listening = socket.socket(fileno=0)
    listen(listening)
    host = "%s:%s" % listening.getsockname()
    assert recorded["requests"], "nothing was recorded"
    failures = []
    for request in recorded["requests"]:
        original = Sent(**request)
        try:
            compare(original, host, recorded["secrets"][original.key])
        except AssertionError as error:
            failures.append(str(error))
    assert not failures, "\n".join(sorted(set(failures)))


if __name__ == "__main__":
    main()
