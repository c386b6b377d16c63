"""Every fault knob turned against the real client: what was measured once is seen again."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.sandbox_bed import Bed, Client, address, make_bed
from tests.sandbox.node import node
from tests.sandbox.phones.phone import Phone
from tests.sandbox.probing import ProbeError
from tests.sandbox.proto import wa_e2e

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """A sandbox and one child for all tests of this module."""
    async with make_bed(tmp_path_factory.mktemp("faults")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def bed(shared: Bed) -> AsyncIterator[Bed]:
    """The module's bed, with every knob turned back afterwards."""
    yield shared
    shared.box.clear_faults()


def strike(bed: Bed, kind: str, client: Client) -> None:
    """Turn a live knob for one client."""
    assert 1 == bed.box.router.companions.strike(kind, client.device.lid)


async def back(bed: Bed, client: Client, logins: int = 2) -> None:
    """Wait until a client has logged in again."""
    await bed.until(lambda: client.device.logins == logins and client.device.active, "the client came back")


def say(phone: Phone, client: Client, text: str) -> str:
    """Let a phone write to a client's account; the message's id."""
    return phone.send(client.account.lid, wa_e2e.Message(conversation=text))


async def stays_away(bed: Bed, client: Client) -> None:
    """The client has ended its connection and opens no other while a neighbour logs in."""
    await bed.until(lambda: client.device.session is None, "the client has gone")
    logins = client.device.logins
    await bed.client()
    assert (logins, None) == (client.device.logins, client.device.session)


@pytest.mark.parametrize("kind", ["drop", "unavailable", "restart"])
async def test_passing_trouble_is_survived(bed: Bed, kind: str) -> None:
    """After a cut, a 503 and a 515 the client comes back by itself, and what was sent meanwhile arrives."""
    client, friend = await bed.client(), bed.phone("Friend")
    strike(bed, kind, client)
    say(friend, client, f"during {kind}")
    await back(bed, client)
    await client.text(f"during {kind}")


async def test_replaced_ends_the_client(bed: Bed) -> None:
    """A client that was replaced says so and never fights for its place."""
    client = await bed.client()
    strike(bed, "replaced", client)
    await client.event("StreamReplaced")
    await stays_away(bed, client)


async def test_logged_out_forgets_the_device(bed: Bed) -> None:
    """A client that is logged out says so, and its device is gone on both sides."""
    client = await bed.client()
    strike(bed, "logged_out", client)
    await client.event("LoggedOut")
    assert [0] == bed.box.router.devices(client.account.lid)
    await bed.record(client.phone, "companion_gone", device=1)


@pytest.mark.parametrize("reason", [401, 403, 406])
async def test_login_failures_that_log_out(bed: Bed, reason: int) -> None:
    """On 401, 403 and 406 at login the client gives its link up."""
    client = await bed.client()
    bed.box.faults.add("fail_login", client.account.lid, count=1, value=reason)
    since = bed.now
    strike(bed, "drop", client)
    assert (await client.event("LoggedOut", since=since))["OnConnect"]
    await stays_away(bed, client)


async def test_temporary_ban_is_told(bed: Bed) -> None:
    """A ban carries its code and how long it lasts, and the client waits for its owner."""
    client = await bed.client()
    bed.box.faults.add("ban", client.account.lid, count=1, value=3600)
    strike(bed, "drop", client)
    ban = await client.event("TemporaryBan")
    assert 3600 == int(ban["Expire"])
    await stays_away(bed, client)


async def test_outdated_client_is_told(bed: Bed) -> None:
    """An outdated client says so and does not try again."""
    client = await bed.client()
    bed.box.faults.add("fail_login", client.account.lid, count=1, value=405)
    strike(bed, "drop", client)
    await client.event("ClientOutdated")
    await stays_away(bed, client)


async def test_unavailable_login_is_tried_again(bed: Bed) -> None:
    """A login refused with 503 is repeated after about two seconds."""
    client = await bed.client()
    bed.box.faults.add("fail_login", client.account.lid, count=1, value=503)
    strike(bed, "drop", client)
    await back(bed, client)
    assert 1 == client.device.counts["login_failed"]


async def test_refused_connections_are_tried_again(bed: Bed) -> None:
    """A web socket refused with 503, or cut, is dialled again until it is let in."""
    client = await bed.client()
    bed.box.faults.add("refuse", count=1, value=503)
    bed.box.faults.add("refuse", count=1, value=0)
    strike(bed, "drop", client)
    await back(bed, client)
    assert not bed.box.faults.turned


async def test_refused_first_connection_fails_at_once(bed: Bed) -> None:
    """A client whose very first dial is refused gives up with an error."""
    bed.box.faults.add("refuse", count=1, value=503)
    await bed.probe.start("refused-first")
    ended = await bed.probe.event("refused-first", "Returned")
    assert "503" in ended["error"] or "websocket" in ended["error"]


async def test_delay_keeps_the_order(bed: Bed) -> None:
    """Stanzas held back arrive later and in the order in which they were sent."""
    client, friend = await bed.client(), bed.phone("Friend")
    bed.box.faults.add("delay", client.device.lid, value=150)
    texts = [f"held {number}" for number in range(5)]
    for text in texts:
        say(friend, client, text)
    await client.text(texts[-1])
    assert texts == client.texts()


async def test_duplicate_is_one_message(bed: Bed) -> None:
    """A message delivered twice is raised once; the client acknowledges both."""
    client, friend = await bed.client(), bed.phone("Friend")
    bed.box.faults.add("duplicate", client.device.lid, count=1)
    message = say(friend, client, "twice")
    say(friend, client, "after")
    await client.text("after")
    assert ["twice", "after"] == client.texts()
    written = [stanza for stanza in bed.sent(client.device, "message") if stanza.get("id") == message]
    assert 2 == len(written)


async def test_corrupt_message_is_asked_for_again(bed: Bed) -> None:
    """Two spoiled messages are both reported as undecryptable and both read after a retry."""
    client, friend = await bed.client(), bed.phone("Friend")
    bed.box.faults.add("corrupt", client.device.lid, count=2)
    for text in ("first", "second"):
        say(friend, client, text)
    await client.text("first")
    await client.text("second")
    lost = [e for e in bed.probe.events if (e.client, e.name) == (client.name, "UndecryptableMessage")]
    assert 2 == len(lost)


async def test_swallowed_message_comes_after_reconnect(bed: Bed) -> None:
    """A message that was never written waits in the outbox and is delivered at the next login."""
    client, friend = await bed.client(), bed.phone("Friend")
    bed.box.faults.add("swallow", client.device.lid, count=1)
    say(friend, client, "swallowed")
    say(friend, client, "not swallowed")
    await client.text("not swallowed")
    assert "swallowed" not in client.texts()
    assert 1 == client.device.counts["swallowed"]
    strike(bed, "drop", client)
    await client.text("swallowed")


async def test_unacknowledged_message_is_redelivered_once(bed: Bed) -> None:
    """A message whose receipt was lost with the connection is sent again, and the client shows it once."""
    client, friend = await bed.client(), bed.phone("Friend")
    message = say(friend, client, "again")
    await client.text("again")
    await bed.until(lambda: not client.device.outbox, "it was acknowledged")
    first = next(stanza for stanza in bed.sent(client.device, "message") if stanza.get("id") == message)
    client.device.outbox.put(first).writes = 1
    strike(bed, "drop", client)
    await bed.until(lambda: client.device.logins == 2 and not client.device.outbox, "the repeat was acknowledged")
    assert ["again"] == client.texts()
    assert 1 == client.device.counts["redelivered"]


async def test_refused_message_is_an_error(bed: Bed) -> None:
    """A message refused with 463 fails at once and reaches nobody."""
    client, friend = await bed.client(), bed.phone("Friend")
    bed.box.faults.add("refuse_message", client.account.lid, count=1)
    with pytest.raises(ProbeError, match="463"):
        await client.call("send_message", address(friend.line.account.pn), "refused")
    await client.call("send_message", address(friend.line.account.pn), "accepted")
    await bed.record(friend, "message", text="accepted")
    assert not [record for record in friend.inbox.since(0) if record.fields.get("text") == "refused"]


async def test_query_error_is_an_error(bed: Bed) -> None:
    """A query answered with 500 fails at once, other queries are served."""
    client = await bed.client()
    bed.box.faults.add("query_error", client.account.lid, count=1, match="blocklist")
    await client.call("get_privacy_settings")
    with pytest.raises(ProbeError, match="500"):
        await client.call("get_blocklist")
    await client.call("get_blocklist")


async def test_faults_of_one_account_spare_the_others(bed: Bed) -> None:
    """A knob turned for one account leaves its neighbour alone."""
    victim, neighbour = await bed.client(), await bed.client()
    bed.box.faults.add("query_error", victim.account.lid, match="blocklist")
    await neighbour.call("get_blocklist")
    with pytest.raises(ProbeError, match="500"):
        await victim.call("get_blocklist")


async def test_odd_stanza_reaches_the_client(bed: Bed) -> None:
    """A raw stanza of no known shape is delivered as it is; here it kills neonize's event stream."""
    client, friend = await bed.client(), bed.phone("Friend")
    odd = node("chatstate", node("composing", media="video"), from_=friend.line.lid)
    bed.box.router.deliver(client.device.lid, odd)
    ended = await client.event("Returned")
    assert "Media not set" in ended["error"]


async def test_thawed_connection_goes_on(bed: Bed) -> None:
    """A frozen connection passes nothing on, and goes on where it was once the knobs are cleared."""
    client, friend = await bed.client(), bed.phone("Friend")
    strike(bed, "freeze", client)
    say(friend, client, "frozen")
    neighbour = await bed.client()
    say(friend, neighbour, "not frozen")
    await neighbour.text("not frozen")
    assert [] == client.texts()
    bed.box.clear_faults()
    await client.text("frozen")
    assert 1 == client.device.logins


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_slow_silences(bed: Bed) -> None:
    """Side by side: no acknowledgement and no answer fail after 75 s, a frozen line is noticed after 37 s."""
    unheard, unanswered, frozen = await bed.client(), await bed.client(), await bed.client()
    friend = bed.phone("Friend")
    await unheard.call("send_message", address(friend.line.account.pn), "sets the session up")
    bed.box.faults.add("missing_ack", unheard.account.lid)
    bed.box.faults.add("query_silent", unanswered.account.lid, match="blocklist")
    strike(bed, "freeze", frozen)

    async def fails(client: Client, *call: object) -> None:
        with pytest.raises(ProbeError, match=r"timed out|timeout"):
            await client.call(str(call[0]), *call[1:], patience=120)

    await asyncio.gather(
        fails(unheard, "send_message", address(friend.line.account.pn), "unheard"),
        fails(unanswered, "get_blocklist"),
        frozen.event("KeepAliveTimeout", patience=120),
    )
    await bed.record(friend, "message", text="unheard")
