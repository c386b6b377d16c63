"""The driver over a library that a test plays: sessions, the watchdog, sends without an answer, and the bounds."""

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict

from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import HostError, OwnerError, PontonError, WhatsAppError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.neonize_driver import driver as driver_module
from ponton_bridge.whatsapp.neonize_driver import events, native, protos
from ponton_bridge.whatsapp.neonize_driver.driver import NeonizeDriver, WornOut
from ponton_bridge.whatsapp.neonize_driver.feed import FULL
from ponton_bridge.whatsapp.neonize_driver.session import Session
from ponton_bridge.whatsapp.port import Link, Text

ANA = Address(number="447700900123", lid="1001")
NOW = 1_795_000_000
STALL = "proto: required field neonize.ChatPresence.Media not set"
PATIENCE = 5.0  # seconds


class Client:
    """One client of the played library: what the driver gave, and how to make it speak or end."""

    def __init__(self, name: bytes, database: str, subscribed: bytes, callbacks: native.Callbacks) -> None:
        self.name, self.database, self.subscribed, self.says = name, database, subscribed, callbacks
        self.end: queue.Queue[str] = queue.Queue()

    def event(self, number: int, data: dict[str, Any] | None = None) -> None:
        """Deliver an event, as one of Go's threads would."""
        message = ParseDict(data or {}, protos.neonize(events.READERS[number].name))
        self.says.event(number, message.SerializeToString())

    def connected(self) -> None:
        """Deliver the news of being connected."""
        self.event(3, {"status": True})


class Go:
    """The library as far as the driver uses it."""

    def __init__(self) -> None:
        self.clients: queue.Queue[Client] = queue.Queue()
        self.opened: dict[bytes, Client] = {}
        self.stopped: list[bytes] = []
        self.hung_up: list[bytes] = []
        self.held: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[tuple[str, tuple[Any, ...]]] = []
        self.answers: dict[str, Callable[[], bytes | str]] = {}

    def run(self, database: str, client: bytes, subscribed: bytes, _props: bytes, callbacks: native.Callbacks) -> str:
        """Stay until the test or `stop` ends it."""
        made = self.opened[client] = Client(client, database, subscribed, callbacks)
        self.clients.put(made)
        return made.end.get()

    def disconnect(self, client: bytes) -> None:
        """Hang up; what the library holds is told after that."""
        self.hung_up.append(client)
        for number, data in self.held:
            self.opened[client].event(number, data)

    def stop(self, client: bytes) -> None:
        """End a client."""
        self.stopped.append(client)
        self.opened[client].end.put("")

    def ask(self, name: str, client: bytes, *arguments: Any) -> bytes:  # noqa: ANN401 - whatever the driver gives
        """Answer with a protobuf; what is not scripted is empty."""
        self.asked.append((name, (client, *arguments)))
        answer = self.answers.get(name, lambda: EMPTY.get(name, b""))()
        assert isinstance(answer, bytes)
        return answer

    def tell(self, name: str, client: bytes, *arguments: Any) -> str:  # noqa: ANN401 - whatever the driver gives
        """Answer with an error text, '' unless scripted."""
        self.asked.append((name, (client, *arguments)))
        answer = self.answers.get(name, lambda: "")()
        assert isinstance(answer, str)
        return answer

    def calls(self, name: str) -> list[tuple[Any, ...]]:
        """Give the arguments of all calls of one function."""
        return [arguments for called, arguments in self.asked if called == name]


def answer(name: str, **fields: object) -> bytes:
    """A protobuf that the library answers with."""
    return protos.neonize(name, **fields).SerializeToString()


def sent(id_: str = "3EB0AA") -> bytes:
    """The answer to a message that was taken."""
    timings = "Queue Marshal GetParticipants GetDevices GroupEncrypt PeerEncrypt Send Resp Retry".split()  # noqa: SIM905 - reads better
    response = {"Timestamp": NOW, "ID": id_, "ServerID": 0, "DebugTimings": dict.fromkeys(timings, 0)}
    return answer("SendMessageReturnFunction", SendResponse=response)


ME = {"User": "447700900001", "RawAgent": 0, "Device": 7, "Integrator": 0, "Server": "s.whatsapp.net"}
EMPTY = {
    "GetMe": answer(
        "Device",
        JID=ME,
        LID=ME | {"User": "9009", "Server": "lid"},
        Platform="",
        BussinessName="",
        PushName="Al",
        Initialized=True,
    ),
    "SendMessage": sent(),
}


class Stage:
    """A driver, the library under it, and the events as they come."""

    def __init__(self, go: Go, driver: NeonizeDriver) -> None:
        self.go, self.driver = go, driver
        self._events = aiter(driver.events())

    async def client(self) -> Client:
        """The next client that the driver opens."""
        return await asyncio.to_thread(self.go.clients.get, timeout=PATIENCE)

    async def hear(self) -> port.Event:
        """The next event."""
        async with asyncio.timeout(PATIENCE):
            return (await anext(self._events)).event

    async def linked(self) -> Client:
        """A client that is connected, with what led there heard."""
        client = await self.client()
        await asyncio.to_thread(client.connected)
        assert [Reason.CONNECTING, Reason.CONNECTED] == [(await self.hear()).reason for _ in range(2)]  # type: ignore[union-attr]  # links
        await self.until(lambda: self.driver._linked)
        return client

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for a condition."""
        async with asyncio.timeout(PATIENCE):
            while not true():  # noqa: ASYNC110 - what is awaited happens in threads
                await asyncio.sleep(0.001)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A started driver over a played library."""
    go = Go()
    monkeypatch.setattr(native, "library", lambda: go)
    driver = NeonizeDriver(tmp_path / "a b?.db", clock=lambda: NOW)
    await driver.start()
    yield Stage(go, driver)
    await driver.stop()


async def test_session_is_opened_with_its_options(stage: Stage) -> None:
    """The database name carries the options, escaped as a URI; only events that are read are asked for."""
    client = await stage.client()
    assert client.database.endswith(
        "/a%20b%3F.db?_foreign_keys=on&_journal_mode=WAL&_synchronous=FULL&_busy_timeout=10000&_x="
    )
    assert set(events.READERS) == set(client.subscribed)
    await stage.driver.start()
    assert stage.go.clients.empty()


async def test_codes_are_numbered_and_timed(stage: Stage) -> None:
    """The first code lives 60 s, the others 20; linking starts again only when asked, with a fresh client."""
    client = await stage.client()
    assert Link(Reason.CONNECTING) == await stage.hear()
    for number, lives in ((1, 60.0), (2, 20.0)):
        await asyncio.to_thread(client.says.code, f"2@{number}")
        assert port.Code(port.CodeKind.QR, f"2@{number}", lives, number) == await stage.hear()
    await asyncio.to_thread(client.says.status, "timeout")
    assert port.PairingFailed(Reason.CODES_USED_UP) == await stage.hear()
    await stage.until(lambda: stage.go.stopped == [client.name])
    await asyncio.to_thread(client.says.code, "2@late")
    await stage.driver.start()
    again = await stage.client()
    assert client.name != again.name
    assert Link(Reason.CONNECTING) == await stage.hear()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("passkey-request", Reason.PASSKEY_NEEDED),
        ("err-client-outdated", Reason.OUTDATED),
        ("err-unexpected-state", Reason.FAILED),
        ("something new", Reason.FAILED),
    ],
)
async def test_linking_ends_with_a_reason(stage: Stage, how: str, reason: Reason) -> None:
    """Each way in which linking by QR ends is told, a passkey request among them."""
    client = await stage.client()
    await asyncio.to_thread(client.says.status, how)
    assert [Link(Reason.CONNECTING), port.PairingFailed(reason)] == [await stage.hear() for _ in range(2)]


async def test_connected_says_who_we_are(stage: Stage) -> None:
    """The own address and push name come with the news."""
    client = await stage.client()
    await asyncio.to_thread(client.connected)
    await stage.hear()
    own = Address(number="447700900001", lid="9009")
    assert Link(Reason.CONNECTED, own=own, push_name="Al") == await stage.hear()


async def test_dead_event_stream_is_told_and_its_client_stopped(stage: Stage) -> None:
    """A client that acknowledges what nobody hears is stopped at once; what is lost is counted; a new start works."""
    client = await stage.linked()
    client.end.put(STALL)
    assert [port.Lost("event_stream"), Link(Reason.EVENTS_STALLED)] == [await stage.hear() for _ in range(2)]
    assert [client.name] == stage.go.stopped
    await stage.driver.start()
    assert client.name != (await stage.client()).name


async def test_first_connection_that_fails_is_told(stage: Stage) -> None:
    """The library gives up on its first dial; nothing is counted as lost, and the next start is a fresh client."""
    client = await stage.client()
    client.end.put("failed to dial whatsapp web websocket: EOF")
    assert [Link(Reason.CONNECTING), Link(Reason.CONNECTION_REFUSED)] == [await stage.hear() for _ in range(2)]
    await stage.driver.start()
    assert client.name != (await stage.client()).name


OVER: dict[Reason, tuple[int, dict[str, Any]]] = {
    Reason.LOGGED_OUT: (6, {"OnConnect": False, "Reason": "LOGGED_OUT"}),
    Reason.PHONE_GONE: (6, {"OnConnect": True, "Reason": "MAIN_DEVICE_GONE"}),
    Reason.REPLACED: (7, {}),
    Reason.BANNED: (8, {"Code": "BLOCKED_BY_USERS", "Expire": "60"}),
    Reason.OUTDATED: (10, {}),
    Reason.CONNECTION_REFUSED: (9, {"Reason": "GENERIC", "Message": "", "Raw": {"Tag": "x"}}),
}


@pytest.mark.parametrize("reason", OVER)
async def test_end_of_a_link_stops_the_client(stage: Stage, reason: Reason) -> None:
    """The library would sit there for ever; nothing is opened until it is asked for."""
    client = await stage.linked()
    number, data = OVER[reason]
    await asyncio.to_thread(client.event, number, data)
    heard = await stage.hear()
    assert isinstance(heard, Link)
    assert (reason, NOW + 60 if reason is Reason.BANNED else 0) == (heard.reason, heard.until)
    await stage.until(lambda: stage.go.stopped == [client.name])
    with pytest.raises(port.NotConnected):
        await stage.driver.send(ANA, Text("x"), message_id=None, seconds=1)


@pytest.mark.parametrize("how", ["event", "status"])
async def test_start_right_at_the_news_of_an_end_counts(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """However long the library's thread takes after its news, who hears it and starts again gets a new client."""
    client = await stage.client()
    await stage.hear()
    bring, started = stage.driver._feed.bring, threading.Event()

    def bring_and_dawdle(event: port.Event) -> None:
        bring(event)
        started.wait(PATIENCE)

    monkeypatch.setattr(stage.driver._feed, "bring", bring_and_dawdle)
    news = (client.event, 6, OVER[Reason.LOGGED_OUT][1]) if how == "event" else (client.says.status, "timeout")
    telling = asyncio.create_task(asyncio.to_thread(*news))
    await stage.hear()
    await stage.driver.start()
    started.set()
    await telling
    assert client.name != (await stage.client()).name
    assert [client.name] == stage.go.stopped


async def test_stopped_driver_ends_its_stream(stage: Stage) -> None:
    """The link is kept, the stream ends, and stopping again is harmless."""
    client = await stage.linked()
    await stage.driver.stop()
    with pytest.raises(StopAsyncIteration):
        await stage.hear()
    assert [client.name] == stage.go.stopped
    await stage.driver.stop()
    with pytest.raises(port.NotConnected):
        await stage.driver.mark_read(ANA, ANA, ["3EB001"])


async def test_stopping_brings_what_the_library_had_taken_in(stage: Stage) -> None:
    """What WhatsApp believes to be delivered comes out of the library before it is stopped; hanging up is no news."""
    client = await stage.linked()
    nobody = {"User": "", "RawAgent": 0, "Device": 0, "Integrator": 0, "Server": "", "IsEmpty": True}
    ana = nobody | {"User": "1001", "Server": "lid", "IsEmpty": False}
    source = {"Chat": ana, "Sender": ana, "IsFromMe": False, "IsGroup": False}
    source |= dict.fromkeys(("SenderAlt", "RecipientAlt", "BroadcastListOwner"), nobody)
    receipt = {"MessageSource": source, "MessageIDs": ["3EB0AA"], "Timestamp": str(NOW), "Type": "DELIVERED"}
    stage.go.held = [(12, {"status": True}), (18, receipt)]
    await stage.driver.stop()
    assert ([client.name], [client.name]) == (stage.go.hung_up, stage.go.stopped)
    assert isinstance(await stage.hear(), port.Receipt)
    with pytest.raises(StopAsyncIteration):
        await stage.hear()


async def test_too_many_sessions_ask_for_a_fresh_process(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library loses descriptors at each session, so the process is to end before they run out."""
    client = await stage.linked()
    client.end.put(STALL)
    [await stage.hear() for _ in range(2)]
    monkeypatch.setattr(driver_module, "WORN_OUT", Session.opened)
    await stage.driver.start()
    with pytest.raises(WornOut):
        await stage.hear()


async def test_unreadable_event_is_counted(stage: Stage) -> None:
    """Bytes that our own reader cannot take are one lost event, not a dead stream."""
    client = await stage.linked()
    await asyncio.to_thread(client.says.event, 17, b"\xff\xff")
    assert port.Lost("event_unreadable") == await stage.hear()
    await asyncio.to_thread(client.event, 12, {"status": True})
    assert Link(Reason.CONNECTION_LOST) == await stage.hear()


async def test_full_feed_holds_the_library_back(stage: Stage) -> None:
    """When nobody reads, Go's thread waits: memory is bounded and WhatsApp keeps what was not acknowledged."""
    client = await stage.linked()
    done = threading.Event()

    def flood() -> None:
        for _ in range(FULL + 5):
            client.event(12, {"status": True})
        done.set()

    threading.Thread(target=flood, daemon=True).start()
    await stage.until(lambda: stage.driver._feed._queue.qsize() == FULL)
    assert not done.is_set()
    for _ in range(FULL + 5):
        await stage.hear()
    await stage.until(done.is_set)


# ---- commands -------------------------------------------------------------------------------------------------


async def test_text_is_sent_to_the_lid(stage: Stage) -> None:
    """The message goes to the hidden address, as plain text; the id is WhatsApp's."""
    client = await stage.linked()
    assert port.Sent("3EB0AA", NOW) == await stage.driver.send(ANA, Text("hi *x*"), message_id="mine", seconds=5)
    [(name, to, _, content, size)] = stage.go.calls("SendMessage")
    assert (client.name, len(content)) == (name, size)
    assert "1001" == protos.string(protos.read("JID", to), "User")
    assert protos.whatsapp(conversation="hi *x*").SerializeToString() == content


async def test_edit_names_the_first_message(stage: Stage) -> None:
    """A correction is a protocol message inside an edited message, with the chat's own address in its key."""
    await stage.linked()
    await stage.driver.send(ANA, port.Edit("3EB0AA", "new"), message_id=None, seconds=5)
    [(_, _, _, content, _)] = stage.go.calls("SendMessage")
    message = protos.whatsapp()
    message.ParseFromString(content)
    inner = protos.sub(message, "editedMessage", "message", "protocolMessage")
    assert ("3EB0AA", "1001@lid") == (protos.string(inner, "key", "ID"), protos.string(inner, "key", "remoteJID"))
    assert "new" == protos.string(inner, "editedMessage", "conversation")


async def test_what_cannot_be_sent_is_refused(stage: Stage) -> None:
    """Contents without a way out yet are the owner's error, not a crash."""
    await stage.linked()
    for content in (port.Revoke("x"), port.Reaction("x", "y"), port.Location(1, 2)):
        with pytest.raises(OwnerError):
            await stage.driver.send(ANA, content, message_id=None, seconds=5)


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        ("server returned error 463", port.NewContactsBlocked),
        ("server returned error 479", port.SendRefused),
        ("failed to get device list: no LID found for 44@s.whatsapp.net from server", port.NotOnWhatsApp),
        ("websocket not connected", port.NotConnected),
        ("the store doesn't contain a device JID: not logged in", port.NotConnected),
        ("timed out waiting for message send response", port.SendUncertain),
        ("something never heard before", port.SendUncertain),
    ],
)
async def test_refused_send_has_its_error(stage: Stage, problem: str, error: type[PontonError]) -> None:
    """The library's words become typed errors with a sentence of ours; its own words are never shown."""
    await stage.linked()
    stage.go.answers["SendMessage"] = lambda: answer("SendMessageReturnFunction", Error=problem)
    with pytest.raises(error) as raised:
        await stage.driver.send(ANA, Text("x"), message_id=None, seconds=5)
    assert type(raised.value) is error
    assert problem not in raised.value.sentence


async def test_send_without_an_answer_is_uncertain_and_the_next_is_not_sent(stage: Stage) -> None:
    """One that hangs is uncertain, one that waits behind it was surely not sent; the late answer is counted."""
    await stage.linked()
    answered = threading.Event()
    stage.go.answers["SendMessage"] = lambda: sent() if answered.wait(PATIENCE) else b""
    with pytest.raises(port.SendUncertain):
        await stage.driver.send(ANA, Text("one"), message_id=None, seconds=0.05)
    with pytest.raises(port.NotConnected):
        await stage.driver.send(ANA, Text("two"), message_id=None, seconds=0.05)
    answered.set()
    assert port.Lost("send_answer_late") == await stage.hear()
    assert 1 == len(stage.go.calls("SendMessage"))


async def test_read_marks_go_in_one_receipt(stage: Stage) -> None:
    """All ids of one sender in one call; ids that would break the list are left out."""
    await stage.linked()
    await stage.driver.mark_read(ANA, ANA, ["3EB001", "bad id", "", "3EB002"])
    [(_, ids, now, *_, kind)] = stage.go.calls("MarkRead")
    assert (b"3EB001 3EB002", NOW, b"read") == (ids, now, kind)
    await stage.driver.mark_read(ANA, ANA, ["", "no good"])
    assert 1 == len(stage.go.calls("MarkRead"))


async def test_typing_and_subscription(stage: Stage) -> None:
    """State and media go as neonize's numbers."""
    await stage.linked()
    for state in port.TypingState:
        await stage.driver.typing(ANA, state)
    assert [(0, 0), (0, 1), (1, 0)] == [call[-2:] for call in stage.go.calls("SendChatPresence")]
    await stage.driver.subscribe(ANA)
    assert 1 == len(stage.go.calls("SubscribePresence"))


async def test_presence_waits_for_the_push_name(stage: Stage) -> None:
    """Before the phone has shared the account's name, presence is kept and shown with the next reading of contacts."""
    await stage.driver.presence(available=True)
    await stage.linked()
    stage.go.answers["SendPresence"] = lambda: "can't send presence without PushName set"
    await stage.driver.presence(available=True)
    del stage.go.answers["SendPresence"]
    stage.driver._refresh()
    await stage.until(lambda: len(stage.go.calls("SendPresence")) == 2)
    assert {b"available"} == {call[1] for call in stage.go.calls("SendPresence")}


async def test_failed_command_has_a_sentence(stage: Stage) -> None:
    """No text of the library reaches the owner."""
    await stage.linked()
    stage.go.answers["SubscribePresence"] = lambda: "some internal text"
    with pytest.raises(WhatsAppError) as raised:
        await stage.driver.subscribe(ANA)
    assert "internal" not in raised.value.sentence


def jid(user: str, server: str) -> dict[str, Any]:
    """A JID as the library writes it."""
    return {"User": user, "RawAgent": 0, "Device": 0, "Integrator": 0, "Server": server}


async def test_lookup_tells_who_is_there(stage: Stage) -> None:
    """Numbers that WhatsApp does not know are None; the LID comes with those that it does."""
    await stage.linked()
    here = {"Query": "+447700900123", "JID": jid("1001", "lid"), "IsIn": True}
    gone = {"Query": "+447700900124", "JID": jid("447700900124", "s.whatsapp.net"), "IsIn": False}
    stage.go.answers["IsOnWhatsApp"] = lambda: answer("IsOnWhatsAppReturnFunction", IsOnWhatsAppResponse=[here, gone])
    found = await stage.driver.lookup(["447700900123", "447700900124"])
    assert {"447700900123": ANA, "447700900124": None} == found
    assert b"+447700900123 +447700900124" == stage.go.calls("IsOnWhatsApp")[0][1]
    assert {} == await stage.driver.lookup([])


async def test_address_book_joins_numbers_and_lids(stage: Stage) -> None:
    """One person under two addresses is one contact, with the book's name and the push name of either."""
    await stage.linked()
    info = {"Found": True, "FirstName": "", "FullName": "", "PushName": "", "BusinessName": "", "RedactedPhone": ""}
    people = [
        {"JID": jid("447700900123", "s.whatsapp.net"), "Info": info | {"FullName": "Ana A."}},
        {"JID": jid("1001", "lid"), "Info": info | {"PushName": "ana"}},
        {"JID": jid("120363001122334455", "g.us"), "Info": info | {"FullName": "x"}},
    ]
    stage.go.answers["GetAllContacts"] = lambda: answer("ContactsGetAllContactsReturnFunction", Contact=people)
    stage.go.answers["GetLIDFromPN"] = lambda: answer("GetJIDFromStoreReturnFunction", Jid=jid("1001", "lid"))
    stage.go.answers["GetPNFromLID"] = lambda: answer(
        "GetJIDFromStoreReturnFunction", Jid=jid("447700900123", "s.whatsapp.net")
    )
    expected = port.Contacts((port.Contact(ANA, "Ana A.", "ana"),), complete=True)
    assert expected == await stage.driver.contacts()


async def test_unlinking_is_told(stage: Stage) -> None:
    """After logout the link is gone for good, and nothing is opened by itself."""
    client = await stage.linked()
    await stage.driver.logout()
    assert Link(Reason.UNLINKED) == await stage.hear()
    await stage.until(lambda: stage.go.stopped == [client.name])


async def test_code_by_number(stage: Stage) -> None:
    """The 8 letters come from the library once it shows codes; before that there is nobody to ask."""
    client = await stage.client()
    with pytest.raises(port.NotConnected):
        await stage.driver.pair_by_number("447700900001")
    await asyncio.to_thread(client.says.code, "2@x")
    stage.go.answers["PairPhone"] = lambda: answer("PairPhoneReturnFunction", Code="ABCD-EFGH")
    assert "ABCD-EFGH" == await stage.driver.pair_by_number("447700900001")
    stage.go.answers["PairPhone"] = lambda: answer("PairPhoneReturnFunction", Error="bad number")
    with pytest.raises(WhatsAppError):
        await stage.driver.pair_by_number("447700900001")


async def test_capabilities_say_what_is_missing(stage: Stage) -> None:
    """No id, no acknowledgement, no passkey: each with a plain sentence; asking for it all the same is refused."""
    capabilities = stage.driver.capabilities
    assert (False, False, False, True) == (
        capabilities.chosen_message_id,
        capabilities.acknowledges,
        capabilities.passkey,
        capabilities.pair_by_number,
    )
    assert all(sentence.endswith(".") for sentence in capabilities.limits)
    stage.driver.acknowledge(1, safe=False)
    with pytest.raises(HostError, match="neonize"):
        await stage.driver.passkey_answer("{}")
    with pytest.raises(HostError, match="neonize"):
        await stage.driver.passkey_confirm()
