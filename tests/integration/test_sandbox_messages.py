"""Messages, receipts, presence and queries between the real client and simulated phones."""

import operator
from collections.abc import AsyncIterator
from functools import partial

import pytest
import pytest_asyncio

from tests.integration.sandbox_bed import Bed, Client, address, make_bed, text_of
from tests.sandbox.node import JID, SERVER, Node, node
from tests.sandbox.phones.phone import Phone
from tests.sandbox.phones.reception import Habits
from tests.sandbox.probing import ProbeError, member
from tests.sandbox.proto import wa_e2e

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def bed(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Bed]:
    """A sandbox and one child for all tests of this module."""
    async with make_bed(tmp_path_factory.mktemp("messages")) as made:
        yield made


def say(phone: Phone, client: Client, text: str) -> str:
    """Let a phone write to a client's account; the message's id."""
    return phone.send(client.account.lid, wa_e2e.Message(conversation=text))


def handed(bed: Bed, phone: Phone, tag: str) -> list[Node]:
    """The stanzas of a tag that a phone was given, oldest first."""
    given = (t.stanza for t in bed.box.world.trace if t.event == "handed" and t.who == phone.line.lid)
    return [stanza for stanza in given if stanza is not None and stanza.tag == tag]


async def settled(bed: Bed, *clients: Client) -> None:
    """Wait until the clients have acknowledged everything."""
    for client in clients:
        outbox = client.device.outbox
        await bed.until(partial(operator.not_, outbox), "everything was acknowledged")


async def test_text_both_ways(bed: Bed) -> None:
    """A text arrives at the contact with the sender's name, the answer arrives at the client."""
    client, friend = await bed.client(), bed.phone("Friend")
    sent = await client.call("send_message", address(friend.line.account.pn), "hello")
    seen = await bed.record(friend, "message", id=sent["ID"])
    assert "hello" == seen["text"]
    assert "Owner" == handed(bed, friend, "message")[0].get("notify")
    say(friend, client, "hi")
    heard = await client.text("hi")
    source = heard["Info"]["MessageSource"]
    assert friend.line.account.lid.user == source["Sender"]["User"]
    assert friend.line.account.pn.user == source["SenderAlt"]["User"]
    assert "Friend" == heard["Info"]["Pushname"]
    await settled(bed, client)


async def test_first_message_sets_up_the_session(bed: Bed) -> None:
    """The first ciphertext of a client is a pkmsg, and a msg once the contact has answered."""
    client, friend = await bed.client(), bed.phone("Friend")
    await client.call("send_message", address(friend.line.account.pn), "one")
    say(friend, client, "two")
    await client.text("two")
    await client.call("send_message", address(friend.line.account.pn), "three")
    messages = handed(bed, friend, "message")
    assert ["pkmsg", "msg"] == [stanza.need("enc").get("type") for stanza in messages]
    assert [True, False] == [stanza.child("device-identity") is not None for stanza in messages]


def is_of(kind: str, receipt: dict[str, str]) -> bool:
    """Whether a client's receipt event is of a type; the first of neonize's types is left out of plain data."""
    return receipt.get("Type", "DELIVERED") == kind


async def test_receipts_reach_the_client(bed: Bed) -> None:
    """Delivered and read receipts of a contact come back to the client, and are acknowledged by it."""
    client, friend = await bed.client(), bed.phone("Friend", Habits(receipts="read"))
    since = bed.now
    sent = await client.call("send_message", address(friend.line.account.pn), "read me")
    for kind in ("DELIVERED", "READ"):
        receipt = await client.event("Receipt", partial(is_of, kind), since)
        assert [sent["ID"]] == receipt["MessageIDs"]
    await settled(bed, client)


async def test_receipts_of_the_client_reach_the_contact(bed: Bed) -> None:
    """An unavailable client's receipt is `inactive`; after presence available it is a plain one, then read."""
    client, friend = await bed.client(), bed.phone("Friend")
    first = say(friend, client, "asleep")
    await settled(bed, client)
    await client.call("send_presence", member("Presence.AVAILABLE"))
    await bed.until(lambda: client.device.available, "the client is available")
    second = say(friend, client, "awake")
    await settled(bed, client)
    kinds = [(stanza.get("id"), stanza.get("type")) for stanza in handed(bed, friend, "receipt")]
    own_phone = [(first, ""), (second, "")]  # it takes every message, too
    assert sorted([*own_phone, (first, "inactive"), (second, "")]) == sorted(kinds)
    await client.call(
        "mark_read",
        second,
        chat=address(friend.line.account.lid),
        sender=address(friend.line.account.lid),
        receipt=member("ReceiptType.READ"),
    )
    await bed.record(friend, "receipt", ids=[second], type="read")


async def test_read_on_one_device_reaches_the_other(bed: Bed) -> None:
    """What one companion reads, the other companion of the account learns."""
    first = await bed.client()
    second = await bed.client(first.phone)
    friend = bed.phone("Friend")
    message = say(friend, first, "both")
    await first.text("both")
    await second.text("both")
    since = bed.now
    chat = address(friend.line.account.lid)
    await first.call("mark_read", message, chat=chat, sender=chat, receipt=member("ReceiptType.READ"))
    told = await second.event("Receipt", lambda data: message in data["MessageIDs"], since)
    assert told["MessageSource"]["IsFromMe"]


async def test_own_phone_copy_arrives(bed: Bed) -> None:
    """What the owner types on the phone arrives at the companion as an own message in the right chat."""
    client, friend = await bed.client(), bed.phone("Friend")
    client.phone.send(friend.line.lid, wa_e2e.Message(conversation="typed on the phone"))
    heard = await client.text("typed on the phone")
    source = heard["Info"]["MessageSource"]
    assert source["IsFromMe"]
    assert friend.line.account.lid.user == source["Chat"]["User"]
    await settled(bed, client)


async def test_own_message_reaches_the_own_phone(bed: Bed) -> None:
    """What the client sends arrives at its own phone as a copy that names the chat."""
    client, friend = await bed.client(), bed.phone("Friend")
    sent = await client.call("send_message", address(friend.line.account.pn), "from the desk")
    copy = await bed.record(client.phone, "message", id=sent["ID"])
    assert f"+{friend.line.account.pn.user}" == copy["chat"]


async def test_two_clients_talk(bed: Bed) -> None:
    """Two real clients of two accounts exchange messages through the sandbox alone."""
    one, other = await bed.client(), await bed.client()
    await one.call("send_message", address(other.account.pn), "ping")
    await other.text("ping")
    await other.call("send_message", address(one.account.pn), "pong")
    await one.text("pong")
    await settled(bed, one, other)


async def test_messages_while_away_arrive_in_order(bed: Bed) -> None:
    """Twenty messages sent while the client is gone wait, and come in order after it is back, framed as offline."""
    client, friend = await bed.client(), bed.phone("Friend")
    await client.call("stop")
    await bed.until(lambda: client.device.session is None, "the client has gone")
    texts = [f"while away {number}" for number in range(20)]
    for text in texts:
        say(friend, client, text)
    await bed.until(lambda: len(client.device.outbox) == 20, "twenty wait")
    since = bed.now
    again = f"{client.name}-again"
    await bed.probe.start(again, store=client.store)
    await bed.probe.event(again, "OfflineSyncCompleted", lambda data: int(data["Count"]) == 20)
    await bed.probe.event(again, "Message", lambda data: text_of(data) == texts[-1])
    back = Client(bed, again, client.account, client.device)
    assert texts == back.texts(since)
    await settled(bed, client)
    assert 20 == client.device.counts["acknowledged"] - acknowledged_otherwise(bed, client)


def acknowledged_otherwise(bed: Bed, client: Client) -> int:
    """Acknowledgements of a client that were not for a friend's message."""
    done = [t.stanza for t in bed.box.world.trace if t.event == "acknowledged" and t.who == client.device.lid]
    return len([stanza for stanza in done if stanza and (stanza.tag != "message" or "notify" not in stanza.attrs)])


async def test_typing_and_presence(bed: Bed) -> None:
    """Typing and coming online of a contact are seen by the client, and the other way round."""
    client, friend = await bed.client(), bed.phone("Friend")
    say(friend, client, "know me")
    await client.text("know me")
    await client.call("subscribe_presence", address(friend.line.lid))
    since = bed.now
    friend.presence("available")
    await client.event("Presence", lambda data: not data.get("Unavailable"), since)
    friend.typing(client.account.lid, "recording")
    typed = await client.event("ChatPresence", since=since)
    assert ("COMPOSING", "AUDIO") == (typed.get("State", "COMPOSING"), typed.get("Media"))
    friend.presence("unavailable")
    gone = await client.event("Presence", lambda data: data.get("Unavailable") and int(data["LastSeen"]) > 0, since)
    assert bed.box.world.account(friend.line.lid).last_seen == int(gone["LastSeen"])  # type: ignore[union-attr] # made
    friend.subscribe(client.account.lid)
    await client.call("send_presence", member("Presence.AVAILABLE"))
    await bed.record(friend, "presence", available=True)
    await client.call(
        "send_chat_presence",
        address(friend.line.lid),
        member("ChatPresence.CHAT_PRESENCE_COMPOSING"),
        member("ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT"),
    )
    await bed.record(friend, "chatstate")


async def test_spoiled_message_is_healed_by_one_retry(bed: Bed) -> None:
    """A message whose ciphertext was flipped is asked for again and read after that."""
    client, friend = await bed.client(), bed.phone("Friend")
    say(friend, client, "before")
    await client.text("before")
    bed.box.faults.add("corrupt", client.device.lid, count=1)
    say(friend, client, "healed")
    await client.event("UndecryptableMessage")
    await client.text("healed")
    asked = [receipt for receipt in handed(bed, friend, "receipt") if receipt.get("type") == "retry"]
    assert 1 == len(asked)
    assert client.device.lid == asked[0].jid("from")
    await settled(bed, client)


async def test_call_rings_and_is_refused(bed: Bed) -> None:
    """A contact's call reaches the client, and its refusal reaches the contact."""
    client, friend = await bed.client(), bed.phone("Friend")
    lid = friend.line.lid
    offer = Node("offer", {"call-id": "CALL1", "call-creator": lid}, [node("audio", enc="opus", rate="16000")])
    bed.box.router.submit(lid, node("call", offer, to=client.account.lid, id="ring"))
    rung = await client.event("CallOffer")
    assert "CALL1" == rung["basicCallMeta"]["callID"]
    await client.call("reject_call", address(lid), "CALL1")
    await bed.record(friend, "call")
    await settled(bed, client)


async def test_lookups(bed: Bed) -> None:
    """Numbers, LIDs, devices, about texts and pictures of accounts are found, unknown ones are not."""
    client, friend = await bed.client(), bed.phone("Friend")
    account = bed.box.world.account(friend.line.lid)
    assert account is not None
    account.about = "bridging"
    known, unknown = account.pn.user, "33699999998"
    found = await client.call("is_on_whatsapp", known, unknown)
    assert {known: True, unknown: False} == {
        entry["Query"].lstrip("+").partition("@")[0]: entry.get("IsIn", False) for entry in found
    }
    users = await client.call("get_user_info", address(account.pn))
    assert "bridging" == users[0]["UserInfo"]["Status"]
    assert 1 == len(await client.call("get_user_devices", address(account.pn)))


async def test_profile_queries(bed: Bed) -> None:
    """Privacy settings, own about text, blocked contacts and the contact link are served."""
    client, friend = await bed.client(), bed.phone("Friend")
    settings = await client.call("get_privacy_settings")
    assert "ALL" == settings.get("ReadReceipts", "ALL")
    await client.call("set_status_message", "on a bridge")
    assert "on a bridge" == client.account.about
    await client.call("update_blocklist", address(friend.line.lid), member("BlocklistAction.BLOCK"))
    blocked = await client.call("get_blocklist")
    assert [friend.line.lid.user] == [jid["User"] for jid in blocked["JIDs"]]
    link = await client.call("get_contact_qr_link")
    assert (await client.call("resolve_contact_qr_link", link))["JID"]["User"] == client.account.pn.user


async def test_picture_is_served(bed: Bed) -> None:
    """A contact's picture has an id and an address; without one the client is told so."""
    client, friend = await bed.client(), bed.phone("Friend")
    account = bed.box.world.account(friend.line.lid)
    assert account is not None
    bed.box.queries.profiles.set_picture(account, b"\xff\xd8 not really a jpeg")
    shown = await client.call("get_profile_picture", address(account.lid))
    assert shown["URL"].startswith("https://pps.whatsapp.net/")
    assert account.picture is not None
    assert account.picture.id == shown["ID"]
    await client.call("send_message", address(account.pn), "nice picture")
    bed.box.queries.profiles.set_picture(account, b"")
    removed = await client.event("Picture")
    assert removed["Remove"]


async def test_app_state_both_ways(bed: Bed) -> None:
    """The phone's push name lets the client be present; the client's own change reaches the phone."""
    client = await bed.client()
    await client.call("send_presence", member("Presence.AVAILABLE"))
    await client.call("set_profile_name", "Renamed")
    changed = await bed.record(client.phone, "app_state", collection="critical_block")
    assert ["setting_pushName"] == changed["index"]


async def test_unknown_query_is_counted(bed: Bed) -> None:
    """A query that nobody serves fails at the client with 501 and shows up in the count."""
    client = await bed.client()
    with pytest.raises(ProbeError, match="501"):
        await client.call("newsletter_subscribe_live_updates", {"jid": "120363@newsletter"})
    assert 1 == bed.box.world.unimplemented["newsletter live_updates"]


async def test_message_to_nobody_fails(bed: Bed) -> None:
    """A number without account has no LID, and the client says so at once."""
    client = await bed.client()
    with pytest.raises(ProbeError, match="LID"):
        await client.call("send_message", address(JID("33699999997", SERVER)), "anybody there?")
