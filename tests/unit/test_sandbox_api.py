"""How the control API says what went wrong: whose fault it is, in a status and a sentence."""

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from tests.sandbox.control import weather
from tests.sandbox.control.api import application
from tests.sandbox.control.house import House
from tests.sandbox.control.people import People
from tests.unit.sandbox_box import Box

Http = TestClient[Any, Any]


@pytest.fixture
def box() -> Box:
    """A world."""
    return Box()


@pytest_asyncio.fixture
async def http(box: Box) -> AsyncIterator[Http]:
    """The API of the world, with Alice and Bob."""
    people = People(box.world, box.router, later=box.later, random=box.random.randbytes)
    people.create("Alice", contacts=["Bob"])
    async with TestClient(TestServer(application(House(box.router, people)))) as client:
        yield client


async def asked(http: Http, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    async with http.request(method, path, json=body) as response:
        return response.status, await response.json()


async def test_a_forged_bundle_is_the_callers_news(http: Http, box: Box) -> None:
    """Says that the receiver's keys are not to be trusted."""
    bob = next(account for account in box.world.accounts() if account.push_name == "Bob")
    assert bob.phone is not None
    desk = box.companion(bob.phone)  # type: ignore[arg-type]  # a Phone
    desk.linked.signed = desk.linked.signed._replace(signature=bytes(64))
    status, answer = await asked(http, "POST", "/accounts/Alice/messages", {"to": "Bob", "text": "x"})
    assert (400, "the signed prekey is not signed by the identity") == (status, answer["error"])


async def test_our_own_failure_is_logged_and_not_hidden(
    http: Http, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Answers 500 with what happened, logs it with the traceback, and serves the next request."""

    def broken(_phone: object) -> None:
        raise RuntimeError("a bug of ours")

    with caplog.at_level(logging.ERROR), monkeypatch.context() as patch:
        patch.setattr(weather, "described", broken)
        assert (500, {"error": "RuntimeError: a bug of ours"}) == await asked(http, "GET", "/accounts")
    (logged,) = caplog.records
    assert ("control_failed", True) == (logged.message, logged.exc_info is not None)
    assert 200 == (await asked(http, "GET", "/accounts"))[0]


async def test_numbers_and_names_stand_in_paths(http: Http) -> None:
    """Finds an account by any of its names in the path."""
    _, alice = await asked(http, "GET", "/accounts/Alice")
    for who in (alice["number"], alice["pn"], alice["lid"], alice["number"].removeprefix("+")):
        assert (200, alice) == await asked(http, "GET", f"/accounts/{who}")


async def test_an_answer_without_content_is_an_empty_object(http: Http) -> None:
    """Gives JSON even where there is nothing to say."""
    assert (200, {}) == await asked(http, "DELETE", "/faults")
    assert (200, []) == await asked(http, "GET", "/accounts/Alice/devices")
