"""Phones and contacts against the real client: texts, receipts, typing, names, copies."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.phones_bed import Phones, people, processes, text_of
from tests.sandbox.client import SandboxClient
from tests.sandbox.probing import Probe, jid, member

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[SandboxClient, Probe]]:
    """The two processes."""
    async with processes(tmp_path_factory.mktemp("chat")) as box:
        yield box


@pytest_asyncio.fixture(loop_scope="module")
async def bed(box: tuple[SandboxClient, Probe]) -> Phones:
    """Alice with a linked client, and Bob."""
    bed = await people(*box)
    await bed.link()
    return bed


async def encryptions(bed: Phones) -> list[str]:
    """The kind of ciphertext of each message that a contact sent to the client, in order."""
    entries = await bed.sandbox.trace(who=f"{bed.alice.number}:1", events="sent")
    messages = [e["stanza"] for e in entries if e["stanza"]["tag"] == "message"]
    return [
        child["attrs"]["type"]
        for stanza in messages
        if stanza["attrs"].get("category") != "peer"
        for child in stanza["content"]
        if child["tag"] == "enc"
    ]


async def test_texts_go_both_ways(bed: Phones) -> None:
    """A contact's text reaches the client and the client's text the contact, under the ids that each side gave."""
    there = await bed.bob.send_text(to=bed.alice, text="hello Alice")
    assert "hello Alice" == text_of(await bed.message(there))
    back = await bed.send("hello Bob")
    message = await bed.bob.wait_for("message", id=back)
    assert ("hello Bob", bed.alice.number, 1) == (message["text"], message["from"], message["device"])


async def test_the_first_messages_open_a_session_and_then_no_more(bed: Phones) -> None:
    """Each side sends pkmsg until the other has answered, then msg."""
    for text in ("one", "two"):
        await bed.message(await bed.bob.send_text(to=bed.alice, text=text))
    await bed.bob.wait_for("message", id=await bed.send("answer"))
    await bed.message(await bed.bob.send_text(to=bed.alice, text="three"))
    assert ["pkmsg", "pkmsg", "msg"] == await encryptions(bed)
    carol = await bed.sandbox.contact("Carol")
    first = await carol.wait_for("message", id=await bed.send("one", carol))
    await bed.message(await carol.send_text(to=bed.alice, text="answer"))
    second = await carol.wait_for("message", id=await bed.send("two", carol))
    assert ("pkmsg", "msg") == (first["enc"], second["enc"])


async def test_delivered_and_read_receipts_reach_the_client(bed: Phones) -> None:
    """A contact's habit decides which receipts the client sees for its message."""
    for habit, expected in (("none", []), ("delivered", ["DELIVERED"]), ("read", ["DELIVERED", "READ"])):
        await bed.bob.settings(receipts=habit)
        message_id = await bed.send(habit)
        await bed.bob.wait_for("message", id=message_id)
        after = await bed.bob.send_text(to=bed.alice, text=f"after {habit}")  # what came before it has arrived
        await bed.message(after)
        of_bob = [
            receipt["Type"]
            for receipt in bed.seen("Receipt")
            if message_id in receipt["MessageIDs"] and not receipt["MessageSource"].get("IsFromMe")
        ]
        assert expected == of_bob


async def test_reading_in_the_client_is_told_to_the_contact(bed: Phones) -> None:
    """The contact gets a read receipt, and the own phone learns that the chat was read."""
    first = await bed.bob.send_text(to=bed.alice, text="one")
    second = await bed.bob.send_text(to=bed.alice, text="two")
    await bed.message(second)
    bob = jid(bed.bob.lid)
    await bed.call("mark_read", first, second, chat=bob, sender=bob, receipt=member("ReceiptType.READ"))
    read = await bed.bob.wait_for("receipt", type="read")
    assert {first, second} == set(read["ids"])
    own = await bed.alice.wait_for("receipt", type="read")
    assert (bed.bob.number, bed.alice.number) == (own["chat"], own["from"])


async def test_reading_on_the_phone_is_told_to_the_client(bed: Phones) -> None:
    """The client learns by a receipt of the own account that a chat was read on the phone."""
    message_id = await bed.bob.send_text(to=bed.alice, text="read me on the phone")
    await bed.message(message_id)
    await bed.alice.read(to=bed.bob, ids=[message_id])
    receipt = await bed.event("Receipt", lambda data: data["Type"] == "READ_SELF" or data["Type"] == "READ")
    assert [message_id] == receipt["MessageIDs"]
    assert receipt["MessageSource"]["IsFromMe"]
    await bed.bob.wait_for("receipt", type="read", ids=[message_id])


async def test_what_the_owner_types_on_the_phone_comes_as_a_copy(bed: Phones) -> None:
    """The client shows an own message in the contact's chat, and the contact gets it too."""
    message_id = await bed.alice.send_from_phone(to=bed.bob, text="typed on the phone")
    source = (await bed.message(message_id))["Info"]["MessageSource"]
    assert (True, bed.bob.lid) == (source["IsFromMe"], f"{source['Chat']['User']}@lid")
    await bed.bob.wait_for("message", id=message_id, text="typed on the phone")


async def test_what_the_client_sends_comes_to_the_phone_as_a_copy(bed: Phones) -> None:
    """The own phone records the client's message in the contact's chat and acknowledges it."""
    message_id = await bed.send("from the desk")
    copy = await bed.alice.wait_for("message", id=message_id)
    assert (True, bed.bob.number, "from the desk") == (copy["from_me"], copy["chat"], copy["text"])
    await bed.event("Receipt", lambda r: r["Type"] == "SENDER" and r["MessageIDs"] == [message_id])


async def test_names_reach_the_clients_store(bed: Phones) -> None:
    """The address book and a contact's push name are in the client's store; later changes follow."""
    await bed.message(await bed.bob.send_text(to=bed.alice, text="hello"))
    found = await bed.call("contact.get_contact", jid(bed.bob.pn))
    assert (bed.bob.name, bed.bob.name) == (found["FullName"], found["PushName"])
    (dora,) = await bed.alice.add_contacts("Dora Example")
    await told(bed, dora.pn, "Dora Example")


async def test_a_new_push_name_comes_with_the_next_message(bed: Phones) -> None:
    """The client shows a contact's new push name, and comes online under the account's own new one."""
    await bed.bob.settings(name=f"Robert {bed.client}")
    event = await bed.message(await bed.bob.send_text(to=bed.alice, text="call me Robert"))
    assert f"Robert {bed.client}" == event["Info"]["Pushname"]
    before = len(await bed.sandbox.trace(who=bed.alice, events="accepted"))
    await bed.alice.settings(name=f"Alicia {bed.client}")
    for _ in range(50):
        await bed.call("send_presence", member("Presence.AVAILABLE"))
        accepted = (await bed.sandbox.trace(who=bed.alice, events="accepted"))[before:]
        names = [e["stanza"]["attrs"].get("name") for e in accepted if e["stanza"]["tag"] == "presence"]
        if f"Alicia {bed.client}" in names:
            return
        await bed.message(await bed.bob.send_text(to=bed.alice, text="a round trip"))
    raise AssertionError("the client never took over its new name")


async def test_a_muted_chat_is_muted_in_the_client(bed: Phones) -> None:
    """A change of the app state on the phone reaches the client's settings of that chat."""
    until = 4_102_444_800_000  # milliseconds; the year 2100
    mute = {"muteAction": {"muted": True, "muteEndTimestamp": until}}
    await bed.alice.change_state("regular_high", ["mute", bed.bob.pn], mute, version=2)
    for _ in range(50):
        settings = await bed.call("chat_settings.get_chat_settings", jid(bed.bob.pn))
        if float(settings.get("MutedUntil", 0)) > 0:
            return
        await bed.message(await bed.bob.send_text(to=bed.alice, text="a round trip"))
    raise AssertionError("the chat was never muted")


async def told(bed: Phones, pn: str, full_name: str) -> None:
    """Wait until the client's store has a contact's full name: it fetches after a notification."""
    synced = "regular"
    for _ in range(50):
        found = await bed.call("contact.get_contact", jid(pn))
        if found.get("FullName") == full_name:
            return
        # Each message is a round trip of the same connection, so this waits for the fetch and not for a clock.
        await bed.message(await bed.bob.send_text(to=bed.alice, text=synced))
    raise AssertionError(f"{full_name} never reached the store")


async def test_presence_needs_the_push_name_and_carries_it(bed: Phones) -> None:
    """The client comes online under the name that the phone gave it; who subscribed is told."""
    await bed.bob.subscribe(to=bed.alice)
    await bed.call("send_presence", member("Presence.AVAILABLE"))
    assert (await bed.bob.wait_for("presence", available=True))["from"] == bed.alice.number
    await bed.call("send_presence", member("Presence.UNAVAILABLE"))
    since = (await bed.bob.wait_for("presence", available=True))["n"]
    await bed.bob.wait_for("presence", available=False, since=since)


async def test_a_contacts_presence_reaches_the_client(bed: Phones) -> None:
    """The client that asked is told when a contact comes and goes."""
    await bed.call("send_presence", member("Presence.AVAILABLE"))
    await bed.call("subscribe_presence", jid(bed.bob.lid))
    await bed.event("Presence", lambda data: data["Unavailable"])
    await bed.bob.presence("available")
    await bed.event("Presence", lambda data: not data["Unavailable"])
    await bed.bob.presence("unavailable")
    await bed.until("Presence", 3)


async def test_typing_is_shown_both_ways(bed: Phones) -> None:
    """Composing, recording and paused reach the client; the client's composing reaches the contact."""
    for number, state in enumerate(("composing", "recording", "paused"), 1):
        await bed.bob.typing(to=bed.alice, state=state)
        await bed.until("ChatPresence", number)
    shown = [(data["State"], data["Media"]) for data in bed.seen("ChatPresence")]
    assert [("COMPOSING", "TEXT"), ("COMPOSING", "AUDIO"), ("PAUSED", "TEXT")] == shown
    state, media = "ChatPresence.CHAT_PRESENCE_COMPOSING", "ChatPresenceMedia.CHAT_PRESENCE_MEDIA_TEXT"
    await bed.call("send_chat_presence", jid(bed.bob.lid), member(state), member(media))
    assert "composing" == (await bed.bob.wait_for("chatstate"))["state"]


@pytest.mark.parametrize(
    ("message", "field", "value"),
    [
        ({"locationMessage": {"degreesLatitude": 48.5, "name": "here"}}, "locationMessage", "name"),
        ({"contactMessage": {"displayName": "Dora", "vcard": "BEGIN:VCARD"}}, "contactMessage", "vcard"),
        ({"imageMessage": {"caption": "c", "JPEGThumbnail": "/9j/"}}, "imageMessage", "JPEGThumbnail"),
        (
            {"pollCreationMessageV3": {"name": "When?", "options": [{"optionName": "now"}]}},
            "pollCreationMessageV3",
            "name",
        ),
        (
            {"viewOnceMessageV2": {"message": {"imageMessage": {"viewOnce": True, "caption": "once"}}}},
            "imageMessage",
            "caption",
        ),
    ],
)
async def test_any_message_can_be_sent_as_json(bed: Phones, message: dict[str, Any], field: str, value: str) -> None:
    """What is given as protobuf JSON arrives in the client as that message."""
    event = await bed.message(await bed.bob.send_message(to=bed.alice, message=message))
    inner = message.get("viewOnceMessageV2", {}).get("message", message)
    assert inner[field][value] == event["Message"][field][value]


async def test_reactions_edits_and_revocations_name_their_message(bed: Phones) -> None:
    """A reaction, an edit and a revocation arrive with the key of the message that they are about."""
    message_id = await bed.bob.send_text(to=bed.alice, text="first")
    await bed.message(message_id)
    key = {"remoteJID": bed.alice.lid, "fromMe": True, "ID": message_id}
    reaction = await bed.bob.send_message(to=bed.alice, message={"reactionMessage": {"key": key, "text": "+"}})
    edit = await bed.bob.send_message(
        to=bed.alice,
        message={"protocolMessage": {"key": key, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": "second"}}},
    )
    revocation = await bed.bob.send_message(to=bed.alice, message={"protocolMessage": {"key": key, "type": "REVOKE"}})
    assert message_id == (await bed.message(reaction))["Message"]["reactionMessage"]["key"]["ID"]
    assert "1" == (await bed.message(edit))["Info"]["Edit"]
    assert "7" == (await bed.message(revocation))["Info"]["Edit"]


async def test_an_echo_answers_the_client(bed: Phones) -> None:
    """A contact with the habit sends each text back."""
    await bed.bob.settings(echo=0.05)
    await bed.send("again")
    await bed.event("Message", lambda data: text_of(data) == "again" and not is_own(data))


def is_own(message: Any) -> bool:  # noqa: ANN401 - an event
    """Whether a message event is of the own account."""
    return bool(message["Info"]["MessageSource"].get("IsFromMe"))


async def test_an_account_is_linked_anew_after_it_was_unlinked(bed: Phones) -> None:
    """A new client is the next device, and both sides can write to each other at once."""
    await bed.alice.unlink(1)
    await bed.event("LoggedOut")
    assert 2 == await bed.link(name=bed.second)
    message_id = await bed.bob.send_text(to=bed.alice, text="welcome back")
    await bed.probe.event(bed.second, "Message", lambda data: data["Info"]["ID"] == message_id)
    sent = await bed.probe.call(bed.second, "send_message", jid(bed.bob.pn), "thank you")
    await bed.bob.wait_for("message", id=sent["ID"], device=2)


async def test_removing_one_client_leaves_the_other(bed: Phones) -> None:
    """Only the removed one is logged out; the other goes on."""
    await bed.link(name=bed.second)
    await bed.alice.unlink(1)
    await bed.event("LoggedOut")
    message_id = await bed.bob.send_text(to=bed.alice, text="to the one that is left")
    await bed.probe.event(bed.second, "Message", lambda data: data["Info"]["ID"] == message_id)
    assert [2] == [each["device"] for each in await bed.alice.linked()]


async def test_a_second_client_of_the_account_gets_copies(bed: Phones) -> None:
    """Both clients show a contact's text; what one sends, the other shows as an own message."""
    assert 2 == await bed.link(name=bed.second)
    message_id = await bed.bob.send_text(to=bed.alice, text="to both")
    for name in (bed.client, bed.second):
        await bed.probe.event(name, "Message", lambda data: data["Info"]["ID"] == message_id)
    own = await bed.send("from the first")
    copy = await bed.probe.event(bed.second, "Message", lambda data: data["Info"]["ID"] == own)
    assert (True, "from the first") == (is_own(copy), text_of(copy))
