"""The link machine under everything that can happen in any order: what must hold, whatever comes."""

import copy
import itertools
import json
from dataclasses import dataclass, field
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from ponton_bridge.core import effects as do
from ponton_bridge.core import events as on
from ponton_bridge.core.link import Link
from ponton_bridge.core.link_table import CUES, TABLE, State
from ponton_bridge.core.notices import PASSING
from ponton_bridge.core.pairing import TOTAL, Pairing
from ponton_bridge.core.pairing_table import Step
from ponton_bridge.model.address import Address
from ponton_bridge.model.states import TABLE as ROWS
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port
from tests.harness.authenticator import Authenticator
from tests.sandbox.passkeys import Passkey

T = 1_700_000_000.0
KEY: Final = Authenticator(id=b"k" * 20)
REQUEST: Final = Passkey(KEY.id, b"").options(b"c" * 32).decode()
ANSWER: Final = json.dumps(KEY.answer(REQUEST))
MAY_FORGET: Final = (Reason.LOGGED_OUT, Reason.PHONE_GONE)
RESOURCES = st.sampled_from(["home", "phone"])
EVENTS: st.SearchStrategy[on.Event] = st.one_of(
    st.sampled_from(Reason).map(lambda reason: port.Link(reason, 5)),
    st.sampled_from(Reason).map(port.PairingFailed),
    st.sampled_from(port.CodeKind).map(
        lambda kind: port.Code(kind, REQUEST if kind is port.CodeKind.PASSKEY else "code", 20.0)
    ),
    RESOURCES.map(on.Present),
    RESOURCES.map(on.Absent),
    st.booleans().map(on.NewCode),
    st.booleans().map(on.Unlinked),
    st.just(on.PhoneSeen(T)),
    st.sampled_from([
        on.XmppOpened(), on.XmppClosed(), on.PhoneAsked("44770"), on.PhoneCode("ABCD-EFGH"), on.PhoneRefused(),
        on.PasskeyGiven("{}"), on.PasskeyGiven(ANSWER), on.PasskeyTaken(ok=True), on.PasskeyTaken(ok=False),
        on.CodesCompared(same=True), on.CodesCompared(same=False), on.Unlink(), on.ContactsBlocked(),
        port.Paired(Address(lid="1")),
    ]),
)  # fmt: skip
# Fencing ends everything, so it comes rarely; ticks come by themselves (see `walk`).
STEPS = st.lists(
    st.tuples(st.one_of(*[EVENTS] * 12, st.just(on.Fenced())), st.sampled_from([0.0, 0.5, 7.0, 61.0, 400.0, 90_000.0])),
    max_size=60,
)


@dataclass
class World:
    """What a shard would be doing, from the effects alone; each check is one promise of the machine."""

    link: Link
    runs: bool = False
    keys: bool = True
    present: set[str] = field(default_factory=set)
    published: bool = False
    shown: set[str] = field(default_factory=set)
    codes: int = 0
    over: bool = False
    xmpp: bool = False
    told: list[tuple[float, Reason]] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    def send(self, event: on.Event, now: float) -> None:
        """Give the machine an event and carry its effects out."""
        match event:
            case on.Present(resource):
                self.present.add(resource)
            case on.Absent(resource):
                self.present.discard(resource)
            case on.XmppClosed():
                self.present.clear()
            case on.XmppOpened():
                self.xmpp = True
            case on.NewCode() | on.PhoneAsked():
                self.codes = 0 if self.link.pairing.step is Step.ENDED else self.codes
            case _:
                pass
        state = self.link.state
        effects = self.link.receive(event, now)
        assert not (self.over and effects), "It goes on after its end."
        for effect in effects:
            self.carry_out(effect, event, state, now)
        by_hand = isinstance(event, on.PasskeyGiven | on.CodesCompared)
        assert by_hand or not any(isinstance(effect, do.RefusePasskey) for effect in effects), "Nobody waits for it."
        reasons = [effect for effect in effects if isinstance(effect, do.SetReason)]
        assert len(reasons) <= 1
        assert all(effect.reason is self.link.reason and effect.since == now for effect in reasons)

    def carry_out(self, effect: do.Effect, event: on.Event, state: State, now: float) -> None:  # noqa: C901  # one case an effect
        """One effect, and what must be true of it."""
        assert not self.over
        match effect:
            case do.StartDriver():
                assert self.xmpp, "WhatsApp was touched before the XMPP server had accepted us."
                assert not self.runs
                self.runs = True
                self.starts.append(now)
            case do.RestartDriver():
                assert self.runs
                self.starts.append(now)
            case do.StopDriver():
                assert self.runs
                self.runs = False
            case do.ForgetKeys():
                by_whatsapp = isinstance(event, port.Link) and event.reason in MAY_FORGET
                by_us = event == on.Unlinked(ok=True) and state is State.UNLINKING
                assert by_whatsapp or by_us, "Keys were forgotten without need."
                assert not self.runs
                self.keys = False
            case do.ShowCode(code, to):
                assert set(to) <= self.present
                assert to
                assert code.expires > now
                self.shown.add(code.kind)
            case do.PublishCode(code):
                assert code.expires > now
                self.codes = max(self.codes, code.number)
                assert self.codes <= TOTAL
                self.published = True
            case do.ClearCode():
                assert self.published
                self.published = False
            case do.ExpireCode(kind):
                assert kind in self.shown
                self.shown.discard(kind)
            case do.AskPhoneCode() | do.AnswerPasskey() | do.ConfirmPasskey() | do.Logout():
                assert self.runs
            case do.Tell(reason):
                assert ROWS[reason].tell or reason is Reason.CONNECTED
                self.told.append((now, reason))
            case do.StopForGood():
                assert not self.runs
                assert not self.published
                self.over = True
            case do.SetReason() | do.NotUnlinked() | do.RefusePasskey():
                pass


def walk(steps: list[tuple[on.Event, float]], *, linked: bool) -> World:
    """Send the events with their pauses, and every tick that the machine asks for in between."""
    world = World(Link(Pairing(), linked=linked, random=lambda: 0.0, phone_seen=T), keys=linked)
    now = T
    for event, pause in steps:
        until = now + pause
        ticks = 0
        while (due := world.link.due) is not None and due <= until:
            now = max(now, due)
            world.send(on.Tick(), now)
            ticks += 1
            assert world.link.due is None or world.link.due > now, "A tick that changes nothing comes again at once."
            assert ticks < 1000
        now = until
        world.send(event, now)
        assert world.link.due is None or world.link.due >= now - 1e-6 or pause == 0
    return world


@given(STEPS, st.booleans())
@settings(max_examples=400, deadline=None)
def test_keeps_its_promises(steps: list[tuple[on.Event, float]], linked: bool) -> None:  # noqa: FBT001  # drawn
    """Whatever happens: one driver, no early touch, no needless logout, no stale code, no word after the end."""
    world = walk([(on.XmppOpened(), 0.0), *steps] if linked else steps, linked=linked)
    running = {State.CONNECTING, State.CONNECTED, State.LOST, State.SILENT, State.LEAVING, State.UNLINKING}
    if world.link.state is not State.UNLINKED:
        assert world.runs == (world.link.state in running)
    assert world.over == (world.link.state is State.ENDED)


@given(STEPS)
@settings(max_examples=150, deadline=None)
def test_tells_each_trouble_once(steps: list[tuple[on.Event, float]]) -> None:
    """A passing trouble is not told twice without its end in between, nor twice in ten minutes."""
    world = walk([(on.XmppOpened(), 0.0), *steps], linked=True)
    for reason in PASSING:
        times = [now for now, told in world.told if told is reason]
        assert all(later - earlier >= 600 for earlier, later in itertools.pairwise(times))
    for (_, first), (_, second) in itertools.pairwise(world.told):
        assert not (first is second and first in PASSING)


@given(st.lists(st.sampled_from(["refused", "lost", "connected", "stalled"]), min_size=1, max_size=300))
@settings(max_examples=60, deadline=None)
def test_restarts_are_rare(moods: list[str]) -> None:
    """A peer that answers each start with a failure at once cannot make us hammer it."""
    world = World(Link(Pairing(), linked=True, random=lambda: 0.0, phone_seen=T))
    world.send(on.XmppOpened(), T)
    reasons = {
        "refused": Reason.CONNECTION_REFUSED,
        "lost": Reason.CONNECTION_LOST,
        "connected": Reason.CONNECTED,
        "stalled": Reason.EVENTS_STALLED,
    }
    now = T
    for mood in moods:
        world.send(port.Link(reasons[mood]), now)
        while world.link.state is State.PAUSED:
            assert world.link.due is not None
            now = world.link.due
            world.send(on.Tick(), now)
    for start in world.starts:
        assert len([other for other in world.starts if start <= other < start + 600]) <= 12
    assert world.keys


SAMPLES: Final[list[on.Event]] = [
    on.XmppOpened(), on.Present("home"), port.Code(port.CodeKind.QR, "code", 20.0), port.Paired(Address(lid="1")),
    on.NewCode(watching=True), on.Unlink(), on.Unlinked(ok=True), on.Unlinked(ok=False), on.Fenced(), on.Tick(),
    *(port.Link(reason) for reason in CUES),
]  # fmt: skip


def test_every_turn_is_walked() -> None:
    """Each cell of the table can be reached and leads where it says: none is there for show."""
    taken: set[tuple[State, State]] = set()
    todo = [World(Link(Pairing(), linked=linked, random=lambda: 0.0, phone_seen=T)) for linked in (True, False)]
    known = set()
    while todo:
        world = todo.pop()
        for event in SAMPLES:
            copied = copy.deepcopy(world)
            now = max(copied.link.due or T, T) if isinstance(event, on.Tick) else copied.link.since or T
            copied.send(event, now)
            taken.add((world.link.state, copied.link.state))
            link = copied.link
            key = (link.state, link.pairing.step, link.reason, link._linked, copied.runs)
            if key not in known:
                known.add(key)
                todo.append(copied)
    wanted = {(state, turn[0]) for state, row in TABLE.items() for turn in row.values()}
    assert set() == wanted - taken
    assert {state for state, _ in taken} == set(State)
