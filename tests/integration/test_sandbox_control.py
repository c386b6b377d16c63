"""The control API and its client, in a sandbox process with phones alone: every route, and every refusal."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.sandbox.client import AccountHandle, SandboxClient, SandboxError
from tests.sandbox.harness import running_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxClient]:
    """One process for all tests; each makes people of its own."""
    async with running_sandbox(tmp_path_factory.mktemp("control")) as sandbox:
        yield sandbox


@pytest_asyncio.fixture(loop_scope="module")
async def pair(sandbox: SandboxClient) -> tuple[AccountHandle, AccountHandle]:
    """Two new people."""
    return await sandbox.account(), await sandbox.account()


Pair = tuple[AccountHandle, AccountHandle]


async def test_an_account_has_its_addresses_and_habits(sandbox: SandboxClient) -> None:
    """Describes an account as it was made, and finds it by any of its names."""
    dora = await sandbox.account("Dora", number="+33612555001", echo=1.5, receipts="read")
    assert ("+33612555001", "33612555001@s.whatsapp.net", "Dora") == (dora.number, dora.pn, dora.name)
    described = await sandbox.call("GET", f"/accounts/{dora.lid}")
    assert {"echo": 1.5, "receipts": "read", "app_state": True, "on": True, "last": 0}.items() <= described.items()
    for name in ("Dora", "+33612555001", "33612555001", dora.pn):
        assert dora.lid == (await sandbox.find(name)).lid
    assert dora.lid in {each["lid"] for each in await sandbox.call("GET", "/accounts")}
    assert repr(dora) == "<account +33612555001>"


async def test_contacts_are_the_same_people_everywhere(sandbox: SandboxClient) -> None:
    """A contact in an address book is the account that the name finds."""
    emil = await sandbox.account("Emil", contacts=["Fay", "+33612555002"])
    fay = await sandbox.contact("Fay")
    again = await emil.add_contacts("Fay", "Gil")
    assert [fay.lid, (await sandbox.contact("Gil")).lid] == [each.lid for each in again]
    assert "+33612555002" == (await sandbox.find("+33612555002")).number


async def test_habits_change_one_by_one(sandbox: SandboxClient, pair: Pair) -> None:
    """Changes what is given and leaves the rest; a negative delay ends the echo."""
    alice, _ = pair
    await alice.settings(echo=0.5, receipts="none")
    await alice.settings(name="Alice in control")
    await alice.settings(receipts="read")
    described = await sandbox.call("GET", f"/accounts/{alice.lid}")
    assert (0.5, "read", "Alice in control") == (described["echo"], described["receipts"], described["name"])
    await alice.settings(echo=-1)
    assert (await sandbox.call("GET", f"/accounts/{alice.lid}"))["echo"] is None


async def test_a_text_is_a_record_of_the_receiver(pair: Pair) -> None:
    """Sends under a given id, by any way of naming the receiver."""
    alice, bob = pair
    ways: list[AccountHandle | str] = [bob, bob.number, bob.lid, bob.pn]
    for number, to in enumerate(ways):
        assert f"3A0{number}" == await alice.send_text(to=to, text=f"text {number}", id=f"3A0{number}")
    assert [f"text {n}" for n in range(4)] == await bob.texts(4)
    (first, *_) = await bob.inbox(kinds="message")
    assert ("3A00", alice.number, alice.number, False) == (
        first["id"],
        first["from"],
        first["chat"],
        first["from_me"],
    )


async def test_any_message_goes_as_json(pair: Pair) -> None:
    """Sends a location and gives it back in the record."""
    alice, bob = pair
    location = {"locationMessage": {"degreesLatitude": 48.5, "degreesLongitude": 9.0, "name": "here"}}
    message_id = await alice.send_message(to=bob, message=location)
    record = await bob.wait_for("message", id=message_id)
    assert (location, "locationMessage", "") == (record["message"], record["type"], record["text"])


async def test_the_inbox_waits_and_goes_on(pair: Pair) -> None:
    """Waits for the first record, skips other kinds while waiting, and goes on after a number."""
    alice, bob = pair
    waiting = asyncio.create_task(bob.inbox(kinds="message", wait=30))
    await bob.sandbox.wait_for(lambda _: True)  # any round trip, so that the poll is on its way
    await alice.typing(to=bob)
    await alice.send_text(to=bob, text="one")
    (first,) = await waiting
    assert "one" == first["text"]
    await alice.send_text(to=bob, text="two")
    assert ["two"] == [r["text"] for r in await bob.inbox(since=first["n"], kinds="message", wait=30)]
    assert [] == await bob.inbox(since=10_000, wait=0.01)
    both = await bob.inbox(kinds="message,chatstate")
    assert ["chatstate", "message", "message"] == [record["kind"] for record in both]
    limited = await bob.sandbox.call("GET", f"/accounts/{bob.lid}/inbox", {"limit": 1, "kinds": "message"})
    assert (["one"], first["n"]) == ([r["text"] for r in limited["records"]], limited["last"])


async def test_what_never_comes_is_said_with_what_came(pair: Pair) -> None:
    """Fails with the records that were seen instead."""
    alice, bob = pair
    await alice.send_text(to=bob, text="something else")
    with pytest.raises(AssertionError, match="something else"):
        await bob.wait_for("message", text="wanted", patience=0.2)
    with pytest.raises(AssertionError, match="nothing of queued"):
        await bob.sandbox.wait_for(lambda _: False, events="queued", patience=0.1)
    assert ["something else"] == await bob.texts(2, patience=0.1)


async def test_receipts_typing_and_presence_are_records(pair: Pair) -> None:
    """Tells the other side about reading, typing and coming online."""
    alice, bob = pair
    ids = [await alice.send_text(to=bob, text=text) for text in ("one", "two")]
    await bob.read(to=alice, ids=ids)
    assert ids == (await alice.wait_for("receipt", type="read"))["ids"]
    await bob.read(to=alice, ids=ids[:1], type="delivered")
    await alice.wait_for("receipt", type="delivered", ids=ids[:1])
    await bob.typing(to=alice, state="recording")
    await alice.wait_for("chatstate", state="recording", from_=bob.number)
    await alice.subscribe(to=bob)
    await bob.presence("available")
    await alice.wait_for("presence", available=True)
    await bob.presence("unavailable")
    seen = (await alice.wait_for("presence", available=True))["n"]
    assert int((await alice.wait_for("presence", since=seen, available=False))["last"]) > 0


async def test_a_burst_comes_in_order(pair: Pair) -> None:
    """Sends numbered texts, flat out or paced, and gives their ids."""
    alice, bob = pair
    flat = await alice.burst(to=bob, count=100, prefix="flat ")
    paced = await alice.burst(to=bob, count=5, rate=50, prefix="paced ")
    expected = [f"flat {n}" for n in range(100)] + [f"paced {n}" for n in range(5)]
    assert expected == await bob.texts(105)
    records = await bob.inbox(kinds="message")
    assert [*flat, *paced] == [record["id"] for record in records]


async def test_a_phone_that_is_off_keeps_its_mail(pair: Pair) -> None:
    """Reads nothing while off and everything afterwards."""
    alice, bob = pair
    await bob.power(on=False)
    await alice.send_text(to=bob, text="later")
    assert [] == await bob.inbox()
    await bob.power(on=True)
    assert ["later"] == await bob.texts(1)


async def test_app_state_can_be_changed(sandbox: SandboxClient, pair: Pair) -> None:
    """Stores an entry of the app state, and refuses one in a collection that does not exist."""
    alice, bob = pair
    await alice.change_state("regular_high", ["mute", bob.lid], {"muteAction": {"muted": True}}, version=2)
    await alice.change_state("regular_high", ["mute", bob.lid], {}, version=2, removed=True)
    with pytest.raises(SandboxError, match="no collection bogus"):
        await alice.change_state("bogus", ["x"], {})
    with pytest.raises(SandboxError, match="not an app-state value"):
        await alice.change_state("regular", ["x"], {"bogusAction": {}})


async def test_faults_are_turned_listed_and_cleared(sandbox: SandboxClient, pair: Pair) -> None:
    """Keeps lasting knobs with their scope and count, acts at once with live ones, forgets them all."""
    alice, _ = pair
    turned = await sandbox.fault("delay", f"{alice.number}:2", count=3, value=50)
    assert {"name": "delay", "scope": alice.lid.replace("@", ":2@"), "left": 3, "value": 50, "match": ""} == turned
    await sandbox.fault("query_error", alice, match="usync")
    await sandbox.fault("missing_ack")
    assert [("delay", 3), ("query_error", None), ("missing_ack", None)] == [
        (fault["name"], fault["left"]) for fault in await sandbox.faults()
    ]
    assert {"struck": 0} == await sandbox.fault("drop", alice)
    await sandbox.clear_faults()
    assert [] == await sandbox.faults()


async def test_the_trace_can_be_searched(sandbox: SandboxClient, pair: Pair) -> None:
    """Gives entries after a number, of an account, of an event, with their stanzas."""
    alice, bob = pair
    before = (await sandbox.call("GET", "/trace", {"limit": 1, "since": 10**9}))["last"]
    message_id = await alice.send_text(to=bob, text="traced")
    entry = await sandbox.wait_for(
        lambda e: e["stanza"]["attrs"].get("id") == message_id, who=bob, events="handed", since=before
    )
    assert (bob.lid, "message") == (entry["who"], entry["stanza"]["tag"])
    assert [] == await sandbox.trace(since=before, who=bob, events="sent")
    limited = await sandbox.call("GET", "/trace", {"since": before, "limit": 1})
    assert ([before + 1], before + 1) == ([e["n"] for e in limited["entries"]], limited["last"])


async def test_raw_stanzas_reach_a_phone(sandbox: SandboxClient, pair: Pair) -> None:
    """Delivers a stanza to device 0 as the server would."""
    alice, _ = pair
    await sandbox.stanza(alice, {"tag": "notification", "attrs": {"type": "made up", "id": "1"}})
    await alice.wait_for("notification", type="made up")


async def test_statistics_say_how_things_stand(sandbox: SandboxClient, pair: Pair) -> None:
    """Counts accounts, what happened, and what nobody implements."""
    before = await sandbox.stats()
    await sandbox.account()
    alice, bob = pair
    await alice.send_text(to=bob, text="counted")
    after = await sandbox.stats()
    assert before["accounts"] + 1 == after["accounts"]
    assert before["counts"].get("handed", 0) < after["counts"]["handed"]
    assert (0, 0, 0) == (after["devices"], after["connected"], after["waiting"])
    assert 0 == after["counts"].get("accepted_late", 0)


REFUSALS: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("unknown account", "GET", "/accounts/Nobody", {}, "nobody here is 'Nobody'"),
    ("unknown route", "GET", "/riddles", {}, "GET /riddles: Not Found"),
    ("unknown field", "POST", "/accounts", {"nmae": "x"}, "nobody understands 'nmae'"),
    ("bad number", "POST", "/accounts", {"number": "0612"}, "a number is written as"),
    ("bad habit", "POST", "/accounts", {"receipts": "all"}, "'receipts' is one of none, delivered, read"),
    ("no text", "POST", "/accounts/X/messages", {"to": "X"}, "either 'text' or 'message'"),
    (
        "both",
        "POST",
        "/accounts/X/messages",
        {"to": "X", "text": "a", "message": {"conversation": "b"}},
        "either 'text' or 'message'",
    ),
    ("no message", "POST", "/accounts/X/messages", {"to": "X", "message": {"x": 1}}, "not a WhatsApp message"),
    ("stranger", "POST", "/accounts/X/messages", {"to": "Nobody", "text": "a"}, "nobody here is 'Nobody'"),
    ("state", "POST", "/accounts/X/typing", {"to": "X", "state": "asleep"}, "typing is one of composing"),
    ("presence", "POST", "/accounts/X/presence", {"type": "away"}, "presence is available or unavailable"),
    ("no ids", "POST", "/accounts/X/receipts", {"to": "X", "ids": []}, "'ids' names at least one"),
    ("burst", "POST", "/accounts/X/burst", {"to": "X", "count": 30_000}, "at most 20000"),
    ("qr", "POST", "/accounts/X/scan", {"qr": "hello"}, "not a linking code"),
    ("code", "POST", "/accounts/X/code", {"code": "1"}, "eight letters or digits"),
    ("no code", "POST", "/accounts/X/code", {"code": "ABCD-1234"}, "no companion waits"),
    ("device", "DELETE", "/accounts/X/devices", {"device": 3}, "no companion 3"),
    ("fault", "POST", "/faults", {"name": "rain"}, "no lasting fault is named 'rain'"),
    ("fault scope", "POST", "/faults", {"name": "delay", "scope": "Nobody"}, "nobody here is 'Nobody'"),
    ("fault count", "POST", "/faults", {"name": "delay", "count": 0}, "at least 1"),
    ("stanza", "POST", "/stanzas", {"to": "X", "stanza": {"tag": 1}}, "a stanza is an object"),
    ("stanza to", "POST", "/stanzas", {"stanza": {"tag": "a"}}, "'to' names a device"),
]


@pytest.mark.parametrize(
    ("method", "path", "fields", "sentence"),
    [case[1:] for case in REFUSALS],
    ids=[case[0] for case in REFUSALS],
)
async def test_a_mistake_is_answered_with_a_sentence(
    sandbox: SandboxClient, method: str, path: str, fields: dict[str, Any], sentence: str
) -> None:
    """Says what is wrong with a request, and goes on."""
    await sandbox.contact("X")
    with pytest.raises(SandboxError, match=sentence):
        await sandbox.call(method, path, fields)


async def test_mistakes_have_a_status(sandbox: SandboxClient) -> None:
    """Answers 404 for what does not exist, 405 for a wrong method and 400 for what cannot be."""
    async with aiohttp.ClientSession(sandbox.control) as http:
        statuses = []
        for method, path, body in (
            ("GET", "/accounts/Nobody", b""),
            ("GET", "/riddles", b""),
            ("PUT", "/accounts", b""),
            ("POST", "/accounts", b"not json"),
            ("POST", "/accounts", b"[]"),
        ):
            async with http.request(method, path, data=body) as response:
                statuses.append(response.status)
                assert (await response.json())["error"]
    assert [404, 404, 405, 400, 400] == statuses


async def test_a_query_string_will_do(sandbox: SandboxClient, pair: Pair) -> None:
    """Reads fields from the query where there is no body, as a browser or curl sends them."""
    alice, bob = pair
    await alice.send_text(to=bob, text="asked by hand")
    async with (
        aiohttp.ClientSession(sandbox.control) as http,
        http.get(f"/accounts/{bob.lid}/inbox", params={"since": "0", "wait": "5", "kinds": "message"}) as response,
    ):
        assert ["asked by hand"] == [r["text"] for r in (await response.json())["records"]]


async def test_a_client_is_used_as_a_context_manager() -> None:
    """Says so, where somebody forgets."""
    with pytest.raises(RuntimeError, match="context manager"):
        await SandboxClient("http://127.0.0.1:9").stats()


async def test_a_thousand_readers_wait_at_once(sandbox: SandboxClient) -> None:
    """Wakes every long poll of a phone with the same record, and answers others meanwhile."""
    alice, bob = await sandbox.account(), await sandbox.account()
    async with SandboxClient(sandbox.control) as crowd:
        reader = await crowd.find(bob.number)
        polls = [asyncio.create_task(reader.inbox(kinds="message", wait=30)) for _ in range(1000)]
        await alice.send_text(to=bob, text="to all")
        found = await asyncio.gather(*polls)
    assert {("to all",)} == {tuple(record["text"] for record in records) for records in found}


async def test_two_hundred_accounts_with_a_thousand_contacts(sandbox: SandboxClient) -> None:
    """Holds them in one process, and every contact's message is read once by the right phone."""
    accounts = [
        await sandbox.account(f"Owner {n}", contacts=[f"Contact {n}-{m}" for m in range(5)]) for n in range(200)
    ]
    for n, owner in enumerate(accounts):
        for m in range(5):
            contact = await sandbox.find(f"Contact {n}-{m}")
            await contact.send_text(to=owner, text=f"{n}-{m}")
    for n, owner in enumerate(accounts):
        assert [f"{n}-{m}" for m in range(5)] == await owner.texts(5)
    assert (await sandbox.stats())["accounts"] >= 1200
