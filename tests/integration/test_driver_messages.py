"""Every driver against the sandbox: linking, messages of every kind both ways, receipts, contacts."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ponton_bridge.model.address import Address
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import (
    Edit,
    Location,
    Other,
    OtherKind,
    Reaction,
    ReceiptKind,
    Revoke,
    Text,
    TypingState,
)
from tests.integration.driver_bed import KINDS as DRIVERS
from tests.integration.driver_bed import Scene, needs, scene, until, who
from tests.sandbox.client import SandboxClient
from tests.sandbox.harness import running_sandbox

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def sandbox(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxClient]:
    """One sandbox for all tests of this module."""
    async with running_sandbox(tmp_path_factory.mktemp("sandbox"), fresh_count=100) as running:
        yield running


@pytest.fixture(params=DRIVERS)
def kind(request: pytest.FixtureRequest) -> str:
    """Each driver in turn."""
    return str(request.param)


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(sandbox: SandboxClient, tmp_path: Path, kind: str) -> AsyncIterator[Scene]:
    """Alice and Bob, and a driver that is not started."""
    async with scene(sandbox, tmp_path, kind) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def linked(fresh: Scene) -> Scene:
    """The same, linked."""
    await fresh.link()
    return fresh


async def test_linking_by_picture(fresh: Scene) -> None:
    """The first code is good for a minute; then come the pairing and the news of who we are, in this order."""
    connected = await fresh.link()
    kinds = [type(event).__name__ for event in fresh.driver.heard[:4]]
    assert ["Link", "Code", "Paired", "Link"] == kinds
    [code] = fresh.driver.all(port.Code)
    assert (port.CodeKind.QR, 60.0, 1) == (code.kind, code.seconds, code.number)
    assert who(fresh.alice) == connected.own
    assert port.Paired(Address(number=who(fresh.alice).number)) in fresh.driver.heard


async def test_linking_by_number(fresh: Scene) -> None:
    """The eight letters work once a picture was shown."""
    await fresh.driver.call("start")
    await fresh.driver.hear(port.Code)
    code = await fresh.driver.call("pair_by_number", fresh.alice.number.removeprefix("+"))
    assert "-" == code[4]
    await fresh.alice.type_code(code)
    await fresh.driver.link(Reason.CONNECTED)


async def test_text_arrives_with_number_and_lid(linked: Scene) -> None:
    """A contact's message names the contact by both addresses, without device."""
    sent = await linked.bob.send_text(linked.alice, "hello")
    message = await linked.driver.text("hello")
    assert (sent, who(linked.bob), who(linked.bob), False) == (
        message.id,
        message.chat,
        message.sender,
        message.from_me,
    )
    assert linked.bob.name == message.push_name


async def test_text_is_delivered_and_read(linked: Scene) -> None:
    """The contact sees it under the id we are given; ticks come back for that id."""
    sent = await linked.driver.send(who(linked.bob), "hi *there*")
    seen = await linked.bob.wait_for("message", text="hi *there*")
    assert sent.id == seen["id"]
    delivered = await linked.driver.hear(port.Receipt, lambda receipt: receipt.kind is ReceiptKind.DELIVERED)
    await linked.bob.read(linked.alice, [sent.id])
    read = await linked.driver.hear(port.Receipt, lambda receipt: receipt.kind is ReceiptKind.READ)
    assert {(sent.id,)} == {delivered.ids, read.ids}
    assert {who(linked.bob).lid} == {delivered.chat.lid, read.chat.lid}


async def test_chosen_id_is_the_message_s(linked: Scene) -> None:
    """A send under an id of ours has it; a repeat is the same message to WhatsApp."""
    needs(linked.driver.kind, "chosen_message_id")
    for _ in range(2):
        sent = await linked.driver.send(who(linked.bob), "once or twice", message_id="3EB0C0FFEE0123456789")
        assert "3EB0C0FFEE0123456789" == sent.id
    await linked.driver.send(who(linked.bob), "and another")
    await linked.bob.wait_for("message", text="and another")
    seen = [record["id"] for record in await linked.bob.inbox(kinds="message") if record["text"] == "once or twice"]
    assert {"3EB0C0FFEE0123456789"} == set(seen)


async def test_bare_number_is_reached_without_a_robots_badge(linked: Scene) -> None:
    """A number whose LID nobody has told is found, and the stanza carries no mark of a robot."""
    carol = await linked.sandbox.account("Carol")
    await linked.driver.send(Address(number=carol.number.removeprefix("+")), "first words")
    await carol.wait_for("message", text="first words")
    assert '"bot"' not in str(await linked.sandbox.trace(who=linked.alice)).replace("'", '"')


async def test_nobody_has_this_number(linked: Scene) -> None:
    """The error says so, and it is the owner's."""
    with pytest.raises(port.NotOnWhatsApp):
        await linked.driver.send(Address(number="33699999999"), "x")


async def test_lookup(linked: Scene) -> None:
    """Who is there comes with the LID, who is not is None."""
    bob = who(linked.bob)
    assert {bob.number: bob, "33699999999": None} == await linked.driver.call("lookup", [bob.number, "33699999999"])


async def test_message_from_the_phone(linked: Scene) -> None:
    """The phone's own copy is the owner's, in the chat with the contact."""
    await linked.alice.send_from_phone(linked.bob, "typed on the phone")
    message = await linked.driver.text("typed on the phone")
    assert (who(linked.bob), True) == (message.chat, message.from_me)
    assert who(linked.alice).lid == message.sender.lid


@pytest.mark.parametrize("state", TypingState)
async def test_typing_both_ways(linked: Scene, state: TypingState) -> None:
    """Composing, recording and paused, either way."""
    await linked.bob.typing(linked.alice, state.value)
    heard = await linked.driver.hear(port.Typing)
    assert (state, who(linked.bob).lid, who(linked.bob).lid) == (heard.state, heard.chat.lid, heard.sender.lid)
    await linked.driver.call("typing", who(linked.bob), state)
    await linked.bob.wait_for("chatstate", state=state.value)


async def test_presence_both_ways(linked: Scene) -> None:
    """A contact's presence comes after we asked; ours is shown."""
    await linked.driver.call("presence", available=True)
    await linked.bob.subscribe(linked.alice)
    await linked.bob.presence("available")
    await linked.driver.call("subscribe", who(linked.bob))
    online = await linked.driver.hear(port.Presence, lambda event: event.available)
    assert (who(linked.bob).lid, None) == (online.who.lid, online.last_seen)
    await linked.bob.presence("unavailable")
    offline = await linked.driver.hear(port.Presence, lambda event: not event.available)
    assert offline.last_seen is not None


async def test_presence_before_the_name_is_known(sandbox: SandboxClient, tmp_path: Path, kind: str) -> None:
    """An account whose phone shares no settings has no name to be shown with: nothing fails, the rest works."""
    async with scene(sandbox, tmp_path, kind, app_state=False) as shy:
        await shy.driver.call("start")
        await shy.alice.scan((await shy.driver.hear(port.Code)).text)
        await shy.driver.link(Reason.CONNECTED)
        await shy.driver.call("presence", available=True)
        await shy.driver.send(who(shy.bob), "hello all the same")
        await shy.bob.wait_for("message", text="hello all the same")


async def test_read_marks_are_one_receipt(linked: Scene) -> None:
    """Several messages of one sender are marked by one receipt."""
    ids = [await linked.bob.send_text(linked.alice, f"n{number}") for number in range(3)]
    await linked.driver.text("n2")
    await linked.driver.call("mark_read", who(linked.bob), who(linked.bob), ids)
    seen = await linked.bob.wait_for("receipt", type="read")
    assert set(ids) == set(seen["ids"])


async def test_edit_of_the_owner(linked: Scene) -> None:
    """A correction reaches the contact as an edit of the first message."""
    sent = await linked.driver.send(who(linked.bob), "helo")
    edit = Edit(sent.id, "hello")
    await linked.driver.call("send", who(linked.bob), edit, message_id=None, seconds=10)
    seen = await linked.bob.wait_for("message", text="hello")
    assert sent.id in str(seen["message"])


KINDS: dict[str, tuple[dict[str, Any], port.Content]] = {
    "place": ({"locationMessage": {"degreesLatitude": -33.5, "degreesLongitude": -70.25}}, Location(-33.5, -70.25)),
    "photo": ({"imageMessage": {"caption": "sea", "mimetype": "image/jpeg"}}, Other(OtherKind.IMAGE, "sea")),
    "voice": ({"audioMessage": {"PTT": True, "mimetype": "audio/ogg"}}, Other(OtherKind.VOICE)),
    "view once": ({"viewOnceMessageV2": {"message": {"imageMessage": {}}}}, Other(OtherKind.VIEW_ONCE)),
    "vanishing": ({"ephemeralMessage": {"message": {"conversation": "soon gone"}}}, Text("soon gone")),
    "poll": (
        {"pollCreationMessageV3": {"name": "Lunch?", "options": [{"optionName": "fish"}, {"optionName": "meat"}]}},
        Other(OtherKind.POLL, "Lunch?\nfish\nmeat"),
    ),
    "reaction": ({"reactionMessage": {"key": {"ID": "3EB0"}, "text": "👍"}}, Reaction("3EB0", "👍")),
    "deletion": ({"protocolMessage": {"type": "REVOKE", "key": {"ID": "3EB0"}}}, Revoke("3EB0")),
    "edit": (
        {"protocolMessage": {"type": "MESSAGE_EDIT", "key": {"ID": "3EB0"}, "editedMessage": {"conversation": "new"}}},
        Edit("3EB0", "new"),
    ),
    "business": (
        {"templateMessage": {"hydratedTemplate": {"hydratedContentText": "Your code is 1234"}}},
        Other(OtherKind.BUSINESS, "Your code is 1234"),
    ),
    "answer": (
        {"extendedTextMessage": {"text": "yes", "contextInfo": {"stanzaID": "3EB0", "participant": "1@lid"}}},
        Text("yes", "3EB0"),
    ),
}


async def test_messages_of_every_kind(linked: Scene) -> None:
    """What a contact's phone sends comes out as what it is, through the real library."""
    sent = {name: await linked.bob.send_message(linked.alice, message) for name, (message, _) in KINDS.items()}
    await linked.bob.send_text(linked.alice, "that was all")
    await linked.driver.text("that was all")
    heard = {message.id: message.content for message in linked.driver.all(port.Message)}
    assert {name: content for name, (_, content) in KINDS.items()} == {n: heard.get(id_) for n, id_ in sent.items()}


async def test_call_is_told(linked: Scene) -> None:
    """A call is told when it begins and when it ends."""
    lid, time = {"jid": linked.bob.lid}, "1795000000"
    for child in ("offer", "terminate"):
        inner = {"tag": child, "attrs": {"call-id": "C1", "call-creator": lid}, "content": [{"tag": "video"}]}
        call = {"tag": "call", "attrs": {"from": lid, "id": child, "t": time}, "content": [inner]}
        await linked.sandbox.stanza(linked.alice, call, linked.device)
    ended = await linked.driver.hear(port.Call, lambda call: call.ended)
    [began] = [call for call in linked.driver.all(port.Call) if not call.ended]
    assert ("C1", "C1", True, who(linked.bob).lid) == (began.id, ended.id, began.video, began.caller.lid)


async def test_address_book_comes_and_follows(linked: Scene) -> None:
    """Names of the phone's address book come by themselves; a new contact is there at the next reading."""
    book = await linked.driver.hear(port.Contacts)
    assert [(who(linked.bob).number, linked.bob.name)] == [(entry.who.number, entry.name) for entry in book.entries]
    await linked.alice.add_contacts("Dora")

    async def known() -> bool:
        return "Dora" in {entry.name for entry in (await linked.driver.call("contacts")).entries}

    await until(known)


async def test_spoilt_message_is_healed(linked: Scene) -> None:
    """A message that cannot be read is told as not final, and comes by a retry."""
    await linked.bob.send_text(linked.alice, "first")
    await linked.driver.text("first")
    await linked.sandbox.fault("corrupt", linked.alice, count=1)
    id_ = await linked.bob.send_text(linked.alice, "spoilt")
    assert id_ == (await linked.driver.text("spoilt")).id
    assert [(id_, False)] == [(event.id, event.final) for event in linked.driver.all(port.Undecryptable)]


async def test_burst_keeps_its_order(linked: Scene) -> None:
    """Hundreds of messages come in the order in which they were written, none twice."""
    await linked.bob.burst(linked.alice, 300, prefix="b")
    await linked.driver.text("b299")
    texts = [message.content.body for message in linked.driver.all(port.Message) if isinstance(message.content, Text)]
    assert [f"b{number}" for number in range(300)] == texts


async def test_crash_keeps_the_link(linked: Scene) -> None:
    """After kill -9 the stored keys connect again without a code, and what was written meanwhile arrives."""
    await linked.driver.kill()
    await linked.bob.send_text(linked.alice, "while away")
    await linked.driver.again()
    await linked.driver.text("while away")
    connected = await linked.driver.link(Reason.CONNECTED)
    assert (who(linked.alice), linked.alice.name) == (connected.own, connected.push_name)
    assert [] == linked.driver.all(port.Code)


async def test_stop_and_start_in_one_process(linked: Scene) -> None:
    """A stopped driver ends its stream; the link is kept."""
    await linked.driver.call("stop")

    async def ended() -> bool:
        return linked.driver.ended

    await until(ended)
    with pytest.raises(port.NotConnected):
        await linked.driver.send(who(linked.bob), "x")
    await linked.driver.again()
    await linked.driver.link(Reason.CONNECTED)


async def test_unlinking(linked: Scene) -> None:
    """The device is gone at WhatsApp, this is told, and the next start shows a code."""
    await linked.driver.call("logout")
    await linked.driver.link(Reason.UNLINKED)
    assert [] == await linked.alice.linked()
    before = len(linked.driver.heard)
    await linked.driver.call("start")
    await linked.driver.hear(port.Code, since=before)
