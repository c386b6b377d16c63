"""The control API under any request: an answer or a sentence, never a failure of its own."""

import asyncio
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.control.api import PHONE_ROUTES, ROUTES, PhoneRoute, Route, application
from tests.sandbox.control.house import House
from tests.sandbox.control.people import People
from tests.unit.sandbox_box import Box

# Requests that wait on purpose are left out: waiting is tested elsewhere.
WAITING = {"wait", "rate"}
EVERY_ROUTE: list[Route | PhoneRoute] = [*ROUTES, *PHONE_ROUTES]
LIMITED = {"count": st.integers(-2, 30)}  # a burst sends as many as it is told

names = ["Alice", "Bob", "Bob:1", "+33612000001", ""]
words = ["delay", "drop", "composing", "read", "nan", "inf", "1e999"]
texts = st.sampled_from(names + words) | st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**10) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, Any]:
    """A route of the API with a body of its fields, some left out, some of a wrong kind."""
    route = draw(st.sampled_from(EVERY_ROUTE))
    who = draw(st.sampled_from(["Alice", "Bob", "+33612000001", "Nobody"]))
    path = route.path if route in ROUTES else f"/accounts/{who}{route.path}"
    known = [name for name in route.fields.split() if name not in WAITING]
    fields = {name: draw(LIMITED.get(name, json_values)) for name in known if draw(st.booleans())}
    if draw(st.integers(0, 9)) == 0:
        fields["misspelt"] = draw(json_values)
    return route.method, path, fields


async def answered(series: list[tuple[str, str, Any]]) -> list[tuple[int, Any]]:
    """Send requests one after the other to a new sandbox; status and body of each answer."""
    box = Box()
    people = People(box.world, box.router, later=box.later, random=box.random.randbytes)
    people.create("Alice", contacts=["Bob"])
    answers = []
    async with TestClient(TestServer(application(House(box.router, people)))) as client:
        for method, path, body in series:
            async with client.request(method, path, json=body) as response:
                answers.append((response.status, await response.json()))
            box.run(0.1)
    return answers


@settings(max_examples=60, deadline=None)
@given(series=st.lists(requests(), min_size=1, max_size=6))
def test_every_request_is_answered(series: list[tuple[str, str, Any]]) -> None:
    """Answers 200 with JSON, or 400 or 404 with a sentence; the next request is served as well."""
    for (method, path, body), (status, answer) in zip(series, asyncio.run(answered(series)), strict=True):
        assert status in {200, 400, 404}, f"{method} {path} {body}: {status} {answer}"
        assert status == 200 or answer["error"]


def test_every_route_can_succeed() -> None:
    """Serves each route once with fields that make sense, so that the fuzz above is not all refusals."""
    to_bob = {"to": "Bob"}
    value = {"pushNameSetting": {"name": "x"}}
    state = {"collection": "regular", "index": ["a"], "value": value, "version": 1, "removed": False}
    sensible: dict[tuple[str, str], Any] = {
        ("POST", "/accounts"): {"name": "Carol", "number": "+33612777777", "contacts": ["Alice"], "echo": 1},
        ("POST", "/contacts"): {"name": "Bob"},
        ("POST", "/faults"): {"name": "delay", "scope": "Bob", "count": 1, "value": 5},
        ("POST", "/stanzas"): {"to": "Bob", "stanza": {"tag": "notification"}},
        ("PATCH", ""): {"name": "Alicia", "echo": -1, "receipts": "none"},
        ("POST", "/contacts/"): {"contacts": ["Bob"]},
        ("POST", "/messages"): to_bob | {"text": "hello", "id": "3A"},
        ("POST", "/burst"): to_bob | {"count": 2, "prefix": "b"},
        ("POST", "/typing"): to_bob | {"state": "paused"},
        ("POST", "/receipts"): to_bob | {"ids": ["A"], "type": "played"},
        ("POST", "/presence"): {"type": "available"},
        ("POST", "/subscriptions"): to_bob,
        ("POST", "/power"): {"on": True},
        ("POST", "/state"): state,
    }
    unlinkable = {"/scan", "/code"}  # these need a client, and are tested with the real one
    series = [(r.method, r.path, sensible.get((r.method, r.path), {})) for r in ROUTES]
    alice = "/accounts/+33612000001"
    for route in PHONE_ROUTES:
        if route.path not in unlinkable:
            key = route.method, route.path + ("/" if route.path == "/contacts" else "")
            series.append((route.method, alice + route.path, sensible.get(key, {})))
    answers = asyncio.run(answered(series))
    failed = [(asked, answer) for asked, answer in zip(series, answers, strict=True) if answer[0] != 200]
    assert [] == failed
