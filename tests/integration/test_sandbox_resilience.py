"""Phones against the real client when things go wrong: spoiled, lost and doubled messages, crashes, phones off.

What is counted is what people would see: each text once, and in order.
"""

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.phones_bed import Phones, people, processes
from tests.integration.sandbox_bed import make_bed
from tests.sandbox.client import SandboxClient, SandboxError
from tests.sandbox.phones import content
from tests.sandbox.probing import Probe, jid
from tests.sandbox.tally import PERFECT, tally

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[SandboxClient, Probe]]:
    """The two processes."""
    async with processes(tmp_path_factory.mktemp("resilience")) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def bed(box: tuple[SandboxClient, Probe]) -> AsyncIterator[Phones]:
    """Alice with a linked client, and Bob; the knobs are turned back afterwards."""
    bed = await people(*box)
    await bed.link()
    yield bed
    await bed.sandbox.clear_faults()


async def test_spoiled_messages_are_healed_by_one_retry_each(bed: Phones) -> None:
    """Of ten messages three are spoiled; all ten are shown once, after one request for each of the three."""
    await bed.message(await bed.bob.send_text(to=bed.alice, text="before"))
    await bed.sandbox.fault("corrupt", f"{bed.alice.number}:1", count=3)
    await bed.bob.burst(to=bed.alice, count=10, prefix="text ")
    await bed.shown(11)
    expected = ["before", *(f"text {n}" for n in range(10))]
    assert sorted(expected) == sorted(bed.texts())
    retries = await bed.bob.inbox(kinds="retry")
    assert [(1, True)] * 3 == [(retry["attempt"], retry["resent"]) for retry in retries]


async def test_doubled_messages_are_shown_once(bed: Phones) -> None:
    """A message that is delivered twice is one event, and acknowledged both times."""
    await bed.sandbox.fault("duplicate", bed.alice, count=5)
    await bed.bob.burst(to=bed.alice, count=5, prefix="text ")
    last = await bed.bob.send_text(to=bed.alice, text="last")
    await bed.message(last)
    assert [*(f"text {n}" for n in range(5)), "last"] == bed.texts()


async def test_swallowed_messages_come_with_the_next_connection(bed: Phones) -> None:
    """What was never written is delivered after a reconnect, in order and before what came later."""
    await bed.sandbox.fault("swallow", bed.alice, count=3)
    for number in range(5):
        await bed.bob.send_text(to=bed.alice, text=f"text {number}")
    await bed.sandbox.fault("drop", bed.alice)
    await bed.shown(5)
    missing = [text for text in bed.texts() if text in {"text 0", "text 1", "text 2"}]
    assert ["text 0", "text 1", "text 2"] == missing
    assert 5 == len(set(bed.texts()))


async def test_twenty_messages_wait_for_a_client_that_was_killed(bed: Phones, tmp_path: Path) -> None:
    """After kill -9 a new process on the same store shows the twenty messages in order, each once."""
    async with Probe(bed.sandbox.config_file or tmp_path, tmp_path) as doomed:
        first = Phones(bed.sandbox, doomed, bed.alice, bed.bob, f"{bed.client}-doomed")
        device = await first.link()
        await first.message(await bed.bob.send_text(to=bed.alice, text="before"))
        await doomed.kill()
    texts = [f"text {number}" for number in range(20)]
    ids = [await bed.bob.send_text(to=bed.alice, text=text) for text in texts]
    async with Probe(bed.sandbox.config_file or tmp_path, tmp_path) as again:
        await again.start("again", store=f"{first.client}.db")
        second = Phones(bed.sandbox, again, bed.alice, bed.bob, "again")
        await second.shown(20)
        assert texts == second.texts()
        for message_id in ids:  # shown first, acknowledged a moment later
            await bed.sandbox.wait_for(
                partial(has_id, message_id), who=f"{bed.alice.number}:{device}", events="acknowledged"
            )
    waiting = {each["device"]: each["waiting"] for each in await bed.alice.linked()}
    assert 0 == waiting[device]


def has_id(message_id: str, entry: dict[str, Any]) -> bool:
    """Whether an entry of the trace is about this message."""
    return bool(entry["stanza"]["attrs"].get("id") == message_id)


async def test_a_fast_chat_with_echo_loses_nothing(bed: Phones) -> None:
    """Two hundred texts and their echoes arrive, each once, although sending and receiving share a session."""
    await bed.bob.settings(echo=0.05)
    texts = {f"text {number}" for number in range(200)}
    await asyncio.gather(*(bed.send(text) for text in texts))
    await bed.shown(200)
    assert sorted(texts) == sorted(bed.texts())
    at_bob = [message["text"] for message in await bed.bob.inbox(kinds="message")]
    assert sorted(texts) == sorted(at_bob)


async def test_an_instant_echo_is_healed(bed: Phones) -> None:
    """Echoes without delay make the client use counters twice (it has no common lock); retries heal all of it."""
    await bed.bob.settings(echo=0)
    texts = [f"text {number}" for number in range(200)]
    await asyncio.gather(*(bed.send(text) for text in texts))
    assert PERFECT == tally(sorted(texts), sorted(await bed.shown(200)))
    assert PERFECT == tally(sorted(texts), sorted(await bed.bob.texts(200)))
    unread = [record["id"] for record in await bed.bob.inbox(kinds="undecryptable")]
    healed = {record["id"] for record in await bed.bob.inbox(kinds="message") if record["asked"]}
    assert healed == set(unread)


async def test_both_sides_may_write_first(bed: Phones) -> None:
    """In twenty chats where both sides open a session at the same moment, both texts arrive."""
    names = [f"{bed.client} friend {n}" for n in range(20)]
    friends = [await bed.sandbox.contact(name) for name in names]
    await asyncio.gather(
        *(bed.send(f"to {f.name}", f) for f in friends),
        *(f.send_text(to=bed.alice, text=f"from {f.name}") for f in friends),
    )
    await bed.shown(20)
    assert sorted(f"from {name}" for name in names) == sorted(bed.texts())
    for friend in friends:
        assert [f"to {friend.name}"] == await friend.texts(1)


async def test_a_hundred_strangers_write_first(bed: Phones) -> None:
    """A hundred first messages use up the prekeys; the client uploads more, and reads every one."""
    strangers = [await bed.sandbox.contact(f"{bed.client} stranger {n}") for n in range(100)]
    for stranger in strangers:
        await stranger.send_text(to=bed.alice, text=stranger.name)
    await bed.shown(100)
    assert [s.name for s in strangers] == bed.texts()
    assert [] == bed.seen("UndecryptableMessage")


async def test_a_contact_whose_phone_is_off_reads_later(bed: Phones) -> None:
    """No receipt comes while the contact's phone is off; the message is read when it is on again."""
    await bed.bob.power(on=False)
    message_id = await bed.send("are you there?")
    carol = await bed.sandbox.contact(f"{bed.client} Carol")
    await bed.message(await carol.send_text(to=bed.alice, text="later than that"))
    assert [] == await bed.bob.inbox(kinds="message")
    assert not [r for r in bed.seen("Receipt") if r["Type"] == "DELIVERED" and message_id in r["MessageIDs"]]
    await bed.bob.power(on=True)
    await bed.event("Receipt", lambda r: r["Type"] == "DELIVERED" and message_id in r["MessageIDs"])
    assert ["are you there?"] == await bed.bob.texts(1)


async def test_a_phone_that_is_off_shares_nothing_until_it_is_on(box: tuple[SandboxClient, Probe]) -> None:
    """A client of an account whose phone is off has no names; it gets them once the phone is back."""
    bed = await people(*box)
    await bed.probe.start(bed.client)
    qr = await bed.probe.event(bed.client, "QR")
    await bed.alice.power(on=False)
    device = await bed.alice.scan(qr)
    await bed.alice.wait_for("companion_active", device=device)
    await bed.message(await bed.bob.send_text(to=bed.alice, text="hello"))
    assert "" == (await bed.call("contact.get_contact", jid(bed.bob.pn)))["FullName"]
    await bed.alice.power(on=True)
    await bed.alice.synced(device)
    assert bed.bob.name == (await bed.call("contact.get_contact", jid(bed.bob.pn)))["FullName"]


async def test_an_account_without_app_state_stays_without_names(box: tuple[SandboxClient, Probe]) -> None:
    """A phone that shares no keys leaves the client without push name, so that it cannot come online."""
    bed = await people(*box, app_state=False)
    await bed.probe.start(bed.client)
    device = await bed.alice.scan(await bed.probe.event(bed.client, "QR"))
    await bed.alice.wait_for("companion_active", device=device)
    await bed.message(await bed.bob.send_text(to=bed.alice, text="hello"))
    with pytest.raises(Exception, match="PushName"):
        await bed.call("send_presence", {"enum": "Presence.AVAILABLE"})


async def test_unlinking_on_the_phone_logs_the_client_out(bed: Phones) -> None:
    """The client hears that it was removed; the phone records it and lists it no more."""
    assert [1] == await bed.alice.unlink()
    await bed.event("LoggedOut")
    gone = await bed.alice.wait_for("companion_gone")
    assert (1, []) == (gone["device"], await bed.alice.linked())
    with pytest.raises(SandboxError, match="no companion 1"):
        await bed.alice.unlink(1)


async def test_a_typed_code_links_through_the_api(box: tuple[SandboxClient, Probe]) -> None:
    """A wrong code is refused with a sentence, the right one links."""
    bed = await people(*box)
    await bed.probe.start(bed.client)
    await bed.event("QR")
    number = bed.alice.number.removeprefix("+")
    shown = await bed.call("PairPhone", number, True)  # noqa: FBT003 - neonize's own signature
    wrong = ("2" if shown[0] == "1" else "1") + shown[1:]
    with pytest.raises(SandboxError, match="the code is wrong"):
        await bed.alice.type_code(wrong)
    shown = await bed.call("PairPhone", number, True)  # noqa: FBT003
    assert 1 == await bed.alice.type_code(shown)
    await bed.event("Connected")


async def test_a_used_code_is_refused_with_a_sentence(bed: Phones) -> None:
    """The API says why a code cannot be scanned."""
    with pytest.raises(SandboxError, match="expired"):
        await bed.alice.scan(bed.seen("QR")[0])


async def test_a_raw_stanza_reaches_the_client(bed: Phones) -> None:
    """A stanza given as JSON is delivered as if the server had made it."""
    stanza = {
        "tag": "chatstate",
        "attrs": {"from": {"jid": bed.bob.lid}},
        "content": [{"tag": "paused"}],
    }
    await bed.sandbox.stanza(bed.alice, stanza, device=1)
    assert "PAUSED" == (await bed.event("ChatPresence"))["State"]


async def test_phones_ask_the_client_again_and_it_answers(tmp_path: Path) -> None:
    """A contact that lost its sessions asks with keys; the client's answer is read, and later texts too."""
    async with make_bed(tmp_path) as bed:
        bob = bed.phone("Bob")
        client = await bed.client()
        await client.call("send_message", jid(str(bob.line.account.pn)), "one")
        await bed.record(bob, "message", text="one")
        reply = bob.send(client.account.lid, content.text_message("reply"))
        await client.event("Message", lambda data: data["Info"]["ID"] == reply)
        bob.line.device.sessions.clear()
        await client.call("send_message", jid(str(bob.line.account.pn)), "two")
        healed = await bed.record(bob, "message", text="two")
        await client.call("send_message", jid(str(bob.line.account.pn)), "three")
        await bed.record(bob, "message", text="three")
    assert 1 == healed["asked"]
    lost = [r.fields for r in bob.inbox.since(0) if r.kind == "undecryptable"]
    assert [("NoSession", 1)] == [(each["error"], each["asked"]) for each in lost]
