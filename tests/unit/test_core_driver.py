"""The core driver over a fake core: what it tells, in which order, and what becomes of sends, tokens and crashes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import OwnerError, WhatsAppError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.core_driver import calls
from ponton_bridge.whatsapp.core_driver import driver as driver_module
from ponton_bridge.whatsapp.core_driver.child import CallFailed, Child, Frame
from ponton_bridge.whatsapp.core_driver.driver import CoreDriver
from ponton_bridge.whatsapp.core_driver.keeper import Fall
from tests.unit import fake_core

BOB = Address(lid="1001")
ME = {"ID": "33612000000:4@s.whatsapp.net", "LID": "9:4@lid", "PushName": "Me"}
OWN = Address(number="33612000000", lid="9")
PATIENCE = 20.0  # seconds


class Stage:
    """A driver, what it has told, and a way to let its core tell something."""

    def __init__(self, driver: CoreDriver) -> None:
        self.driver = driver
        self.heard: list[port.Delivery] = []
        self.asked: list[Frame] = []  # what the core was asked or answered, as it echoes it
        self._numbers = 100
        self._listening = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for delivery in self.driver.events():
            self.heard.append(delivery)

    @property
    def told(self) -> list[port.Event]:
        """The events alone."""
        return [delivery.event for delivery in self.heard]

    @property
    def child(self) -> Child:
        """The core that runs."""
        assert self.driver._keeper.child is not None
        return self.driver._keeper.child

    def say(self, kind: str, fields: dict[str, Any] | None = None, *, held: bool = False) -> int:
        """Let the core say an event; gives its number."""
        self._numbers += 1
        frame: Frame = {"e": kind, "n": self._numbers, "d": fields or {}} | ({"ack": True} if held else {})
        self.driver._heard(self.child, frame)
        return self._numbers

    async def until(self, true: Any) -> None:  # noqa: ANN401 - a condition
        """Wait until something is true."""
        async with asyncio.timeout(PATIENCE):
            while not true():  # noqa: ASYNC110 - several things may make it true
                await asyncio.sleep(0.01)

    async def link(self) -> None:
        """Start, and be connected."""
        await self.driver.start()
        await self.until(lambda: self.driver._keeper.child is not None and self.called("connect"))
        self.say("Connected", ME)
        await self.until(lambda: port.Link(Reason.CONNECTED, own=OWN, push_name="Me") in self.told)

    def called(self, name: str) -> list[Frame]:
        """The calls of this name so far."""
        return [frame for frame in self.asked if frame.get("c") == name]


@pytest_asyncio.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    """A driver that is not started."""
    program, store = fake_core.make(tmp_path, "hello")
    made = Stage(CoreDriver(store, program, clock=lambda: 1_795_000_000))
    say = Child._say

    def noted(child: Child, frame: Frame) -> None:
        made.asked.append(frame)
        say(child, frame)

    monkeypatch.setattr(Child, "_say", noted)
    yield made
    await made.driver.stop()
    await asyncio.wait_for(made._listening, PATIENCE)


def message(id_: str = "3EB0", text: str = "hi") -> dict[str, Any]:
    """The fields of a message of Bob's."""
    info = {"Chat": "1001@lid", "Sender": "1001@lid", "ID": id_, "Timestamp": 1}
    return {"Info": info, "Message": {"conversation": text}}


async def test_message_waits_for_the_shard(stage: Stage) -> None:
    """A held event has a token; WhatsApp hears of it once, when that is acknowledged, and not before."""
    await stage.link()
    number = stage.say("Message", message(), held=True)
    await stage.until(lambda: stage.heard[-1].token is not None)
    assert [] == [frame for frame in stage.asked if "a" in frame]
    token = stage.heard[-1].token
    assert token is not None
    for _ in range(2):
        stage.driver.acknowledge(token)
    stage.driver.acknowledge(token + 1)
    assert [{"a": number}] == [frame for frame in stage.asked if "a" in frame]


async def test_message_can_be_left_at_whatsapp(stage: Stage) -> None:
    """What the shard cannot keep now comes again."""
    await stage.link()
    number = stage.say("Message", message(), held=True)
    await stage.until(lambda: stage.heard[-1].token is not None)
    stage.driver.acknowledge(stage.heard[-1].token or 0, safe=False)
    assert {"a": number, "ok": False} == stage.asked[-1]


async def test_what_means_nothing_is_acknowledged_at_once(stage: Stage) -> None:
    """Keys, history and names of tomorrow hold nothing up."""
    await stage.link()
    numbers = [stage.say(kind, {}, held=True) for kind in ("Tomorrow", "Message", "GroupInfo")]
    assert [{"a": number} for number in numbers] == [frame for frame in stage.asked if "a" in frame]


async def test_unreadable_event_is_told_and_counted(stage: Stage) -> None:
    """Its last part has the token: nothing is acknowledged before all of it is safe."""
    await stage.link()
    stage.say("Message", message() | {"Message": {"imageMessage": 7}}, held=True)
    await stage.until(lambda: port.Lost("event_unreadable") in stage.told)
    assert [None, 1] == [delivery.token for delivery in stage.heard[-2:]]


async def test_token_of_a_core_that_is_gone_is_nothing(stage: Stage) -> None:
    """The event comes again by the next core, which is not answered for the first one's number."""
    await stage.link()
    stage.say("Message", message(), held=True)
    await stage.until(lambda: stage.heard[-1].token is not None)
    token = stage.heard[-1].token or 0
    first = stage.child
    first.kill()
    await stage.until(lambda: len(stage.called("connect")) == 2)
    stage.driver.acknowledge(token)
    assert [] == [frame for frame in stage.asked if "a" in frame]
    assert port.Link(Reason.CONNECTION_LOST) in stage.told


async def test_crash_makes_a_send_uncertain(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A send that its core has died of may have gone out; before the next connection nothing is sent."""
    await stage.link()
    monkeypatch.setattr(calls, "sending", lambda *_: ("die", {}))
    with pytest.raises(port.SendUncertain):
        await stage.driver.send(BOB, port.Text("x"), message_id="3EB0", seconds=PATIENCE)
    with pytest.raises(port.NotConnected):
        await stage.driver.send(BOB, port.Text("x"), message_id="3EB0", seconds=PATIENCE)


async def test_send_says_what_the_shard_has_chosen(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Id, address and time limit go to the core; its answer is what was sent."""
    await stage.link()
    answer = {"id": "3EB0", "t": 5}
    monkeypatch.setattr(calls, "sending", lambda *_: ("send", {"to": "1001@lid", "text": "x", "v": answer}))
    assert port.Sent("3EB0", 5) == await stage.driver.send(BOB, port.Text("x"), message_id="3EB0", seconds=3)
    [sent] = stage.called("send")
    assert ("3EB0", "1001@lid") == (sent["id"], sent["to"])
    assert 2000 < sent["timeout_ms"] <= 3000


async def test_send_without_an_answer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is uncertain; one that waited behind it was surely not begun."""
    monkeypatch.setattr(driver_module, "MARGIN", 0.0)
    await stage.link()
    monkeypatch.setattr(calls, "sending", lambda *_: ("never", {}))
    first = asyncio.create_task(stage.driver.send(BOB, port.Text("1"), message_id=None, seconds=0.6))
    await stage.until(lambda: stage.called("never"))
    with pytest.raises(port.NotConnected):
        await stage.driver.send(BOB, port.Text("2"), message_id=None, seconds=0.05)
    with pytest.raises(port.SendUncertain):
        await first
    assert 1 == len(stage.called("never"))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("server returned error 463", port.NewContactsBlocked),
        ("no LID found", port.NotOnWhatsApp),
        ("?", port.SendUncertain),
    ],
)
async def test_errors_of_the_core_are_the_port_s(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, text: str, error: type[Exception]
) -> None:
    """Whatever whatsmeow says, the owner gets a sentence of ours."""
    await stage.link()

    async def fails(*_: object, **__: object) -> None:
        raise CallFailed(text)

    monkeypatch.setattr(stage.child, "call", fails)
    with pytest.raises(error) as raised:
        await stage.driver.send(BOB, port.Text("x"), message_id=None, seconds=1)
    assert text not in str(raised.value)
    with pytest.raises(WhatsAppError):
        await stage.driver.lookup(["1"])
    with pytest.raises(WhatsAppError, match="Check the number"):
        await stage.driver.pair_by_number("1")


async def test_what_cannot_be_done_is_refused(stage: Stage) -> None:
    """Contents without a way out yet are the owner's error, not a crash."""
    await stage.link()
    with pytest.raises(OwnerError):
        await stage.driver.send(BOB, port.Location(1, 2), message_id=None, seconds=1)


async def test_commands(stage: Stage) -> None:
    """Each command of the port is one call, with addresses as WhatsApp writes them."""
    await stage.link()
    await stage.driver.mark_read(BOB, BOB, ["1", "2"])
    await stage.driver.mark_read(BOB, BOB, [])
    await stage.driver.typing(BOB, port.TypingState.RECORDING)
    await stage.driver.presence(available=True)
    await stage.driver.subscribe(BOB)
    assert {} == await stage.driver.lookup([])
    assert {"4477": None} == await stage.driver.lookup(["4477"])
    assert port.Contacts(()) == await stage.driver.contacts()
    said = [{k: v for k, v in frame.items() if k not in "ic"} for frame in stage.asked if frame.get("c") in _COMMANDS]
    read = {"chat": "1001@lid", "sender": "1001@lid", "ids": ["1", "2"], "t": 1_795_000_000}
    typing, seen, whom = {"chat": "1001@lid", "state": "recording"}, {"available": True}, {"who": "1001@lid"}
    assert [read, typing, seen, whom, {"numbers": ["4477"]}, {}] == said


_COMMANDS = {"read", "typing", "presence", "subscribe", "on_whatsapp", "contacts"}


async def test_presence_is_remembered(stage: Stage) -> None:
    """Wanted before the link, it is shown with the first reading of the address book."""
    await stage.driver.presence(available=True)
    await stage.link()
    stage.say("PushNameSetting", {}, held=True)
    await stage.until(lambda: stage.called("presence"))
    assert stage.called("presence")[0]["available"] is True


async def test_codes_and_pairing(stage: Stage) -> None:
    """A code is shown while it is good; the scan ends it, and our own name is known then."""
    await stage.driver.start()
    await stage.until(lambda: stage.called("connect"))
    stage.say("QR", {"Codes": list("abcdef")})
    stage.say("PairSuccess", {"ID": "33612000000:4@s.whatsapp.net"})
    await stage.until(lambda: port.Paired(Address(number="33612000000")) in stage.told)
    assert [port.CodeKind.QR] == [event.kind for event in stage.told if isinstance(event, port.Code)]
    assert not stage.driver._codes.running


REQUEST = {"PublicKey": {"Challenge": "Y2hhbGxlbmdl", "Timeout": 60000, "RelyingPartID": "whatsapp.com"}}


def asked(stage: Stage) -> list[str]:
    """The names of the calls about passkeys, in order."""
    return [frame["c"] for frame in stage.asked if str(frame.get("c")).startswith("passkey")]


async def wants_passkey(stage: Stage) -> None:
    """A code was scanned, and WhatsApp asks for a passkey."""
    await stage.driver.start()
    await stage.until(lambda: stage.called("connect"))
    stage.say("QR", {"Codes": ["a", "b"]})
    stage.say("PairPasskeyRequest", REQUEST)
    kinds = [port.CodeKind.QR, port.CodeKind.PASSKEY]
    await stage.until(lambda: kinds == [event.kind for event in stage.told if isinstance(event, port.Code)])
    assert not stage.driver._codes.running


async def test_passkey(stage: Stage) -> None:
    """The request stops the codes; the answer goes to the core, and codes are compared where WhatsApp wants it."""
    await wants_passkey(stage)
    await stage.driver.passkey_answer('{"id": "x"}')
    assert {"id": "x"} == stage.called("passkey_response")[0]["answer"]
    stage.say("PairPasskeyConfirmation", {"Code": "ABCD-EFGH"})
    compare = port.Code(port.CodeKind.COMPARE, "ABCD-EFGH", 0.0)
    await stage.until(lambda: compare in stage.told)
    assert ["passkey_response"] == asked(stage)
    await stage.driver.passkey_confirm()
    assert ["passkey_response", "passkey_confirm"] == asked(stage)
    assert stage.driver.capabilities.passkey


async def test_passkey_that_was_quick_needs_no_comparison(stage: Stage) -> None:
    """What WhatsApp spares the owner is confirmed at once, and nobody is shown a code."""
    await wants_passkey(stage)
    stage.say("PairPasskeyConfirmation", {"Code": "ABCD-EFGH", "SkipHandoffUX": True})
    await stage.until(lambda: ["passkey_confirm"] == asked(stage))
    assert port.CodeKind.COMPARE not in {event.kind for event in stage.told if isinstance(event, port.Code)}


async def test_passkey_that_whatsapp_refuses(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer's error is a sentence of ours; a refused confirmation, or an error of the step, ends the attempt."""
    await wants_passkey(stage)
    call = stage.child.call

    async def fails(name: str, **arguments: Any) -> object:  # noqa: ANN401 - any call's
        if name.startswith("passkey"):
            raise CallFailed("info query returned status 400: wrong origin")
        return await call(name, **arguments)

    monkeypatch.setattr(stage.child, "call", fails)
    with pytest.raises(WhatsAppError, match="did not take this answer"):
        await stage.driver.passkey_answer("{}")
    failed = port.PairingFailed(Reason.PASSKEY_FAILED)
    assert failed not in stage.told
    stage.say("PairPasskeyConfirmation", {"Code": "ABCD-EFGH", "SkipHandoffUX": True})
    await stage.until(lambda: failed in stage.told)
    with pytest.raises(port.NotConnected):
        await stage.driver.passkey_answer("{}")


async def test_hanging_up_before_a_scan_ends_the_attempt(stage: Stage) -> None:
    """WhatsApp closes when its codes have run out; the next start asks for new ones."""
    await stage.driver.start()
    await stage.until(lambda: stage.called("connect"))
    stage.say("QR", {"Codes": ["a"]})
    stage.say("Disconnected")
    await stage.until(lambda: port.PairingFailed(Reason.CODES_USED_UP) in stage.told)
    await stage.driver.start()
    await stage.until(lambda: len(stage.called("connect")) == 2)
    names = [frame["c"] for frame in stage.asked if frame.get("c") in {"connect", "disconnect"}]
    assert ["connect", "disconnect", "connect"] == names


@pytest.mark.parametrize("kind", ["LoggedOut", "StreamReplaced", "ClientOutdated", "TemporaryBan", "ConnectFailure"])
async def test_end_of_a_link_stays(stage: Stage, kind: str) -> None:
    """What WhatsApp has ended is let go, and nothing goes out, until the link machine starts again."""
    await stage.link()
    stage.say(kind, {})
    await stage.until(lambda: stage.called("disconnect"))
    with pytest.raises(port.NotConnected):
        await stage.driver.send(BOB, port.Text("x"), message_id=None, seconds=1)
    with pytest.raises(port.NotConnected):
        await stage.driver.contacts()
    os.kill(stage.child.pid, signal.SIGKILL)
    await stage.until(lambda: stage.driver._keeper.started == 2)
    assert 1 == len(stage.called("connect"))


@pytest.mark.parametrize(("fall", "reason"), [(Fall.STORM, Reason.EVENTS_STALLED), (Fall.UNUSABLE, Reason.FAILED)])
async def test_core_that_is_given_up_is_told(stage: Stage, fall: Fall, reason: Reason) -> None:
    """A storm of crashes, or a store that cannot be opened, ends in one told state; a start tries once more."""
    await stage.link()
    stage.driver._fell(fall)
    await stage.until(lambda: port.Link(reason) in stage.told)
    await stage.driver.start()
    await stage.until(lambda: len(stage.called("connect")) == 2)


async def test_unlinking(stage: Stage) -> None:
    """The removal is told once WhatsApp has confirmed it."""
    await stage.link()
    await stage.driver.logout()
    await stage.until(lambda: port.Link(Reason.UNLINKED) in stage.told)
    assert stage.called("logout")


async def test_stop_says_goodbye(stage: Stage) -> None:
    """The core is asked to disconnect, which marks the store as whole; the stream ends and no process is left."""
    await stage.link()
    process = stage.child.pid
    await stage.driver.stop()
    await asyncio.wait_for(stage._listening, PATIENCE)
    assert stage.called("disconnect")
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
