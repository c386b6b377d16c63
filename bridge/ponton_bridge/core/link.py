"""The state of one account's link with WhatsApp: what happens to it, what is done about it, what is told.

The one machine that the shard feeds: port events of the driver, the XMPP stream's opening and closing, the owner's
wishes, time. Effects come back in order. While there is no link the pairing machine inside it has the word. Rules:

* All that changes the state stands in `link_table.TABLE`; the reason that is published and told follows from it.
* WhatsApp is not touched before the XMPP server has accepted our epoch.
* Keys are forgotten only when WhatsApp or the owner has ended the link; a ban, an outdated client or a lost network
  keeps them. A replaced or fenced shard stops for good and never fights.
* A driver is started again with growing pauses; an event stream that died, at once.
"""

from collections.abc import Callable
from typing import Final

from ponton_bridge.core import events as on
from ponton_bridge.core.backoff import delay
from ponton_bridge.core.effects import (
    Effect,
    ForgetKeys,
    Logout,
    NotUnlinked,
    RestartDriver,
    SetReason,
    StartDriver,
    StopDriver,
    StopForGood,
)
from ponton_bridge.core.link_table import (
    CUES,
    DOWN,
    ENDINGS,
    HELD,
    LIMITS,
    LINGER,
    STUCK,
    TABLE,
    TRYING,
    Act,
    Cue,
    State,
    Turn,
)
from ponton_bridge.core.notices import Notices
from ponton_bridge.core.pairing import Pairing
from ponton_bridge.core.pairing_table import Step
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port

DAY: Final = 86400.0  # seconds
PATIENCE: Final = 60.0  # seconds that a connection may be away before the owner hears of it
STABLE: Final = 60.0  # seconds of connection after which earlier failures no longer count
TRIES: Final = 20  # starts in a row without a connection, then the tries become rare (WAHA: 20 restarts -> failed)
RARE: Final = 1800.0  # seconds between those
PHONE_QUIET: Final = 12 * DAY  # WhatsApp drops linked devices after about 14 days without the phone
BLOCKED: Final = DAY  # how long new contacts count as blocked after the last refusal (error 463)

_LASTED: Final = frozenset({Reason.CONNECTION_REFUSED, Reason.KEEPALIVE_LOST, Reason.UNREACHABLE})
_LINKING: Final = frozenset({Cue.PAIRED, Cue.CONNECTED})
_PLAIN: Final[dict[type[on.Event], Cue]] = {
    port.Paired: Cue.PAIRED,
    on.Fenced: Cue.FENCED,
    on.NewCode: Cue.NEW_CODE,
    on.Unlink: Cue.UNLINK,
}
_ACTS: Final[dict[Act, Effect]] = {
    Act.START: StartDriver(),
    Act.STOP: StopDriver(),
    Act.FORGET: ForgetKeys(),
    Act.LOGOUT: Logout(),
    Act.GIVE_UP: NotUnlinked(),
}


class Link:
    """The machine. `linked` = there are keys; `phone_seen` as the journal kept it; `told` = what this epoch told last.

    `state`, `reason`, `since` and `until` say how it stands; `due` when to send `Tick`; `phone_seen` is to be kept.
    """

    def __init__(
        self,
        pairing: Pairing,
        *,
        linked: bool,
        random: Callable[[], float],
        phone_seen: float = 0.0,
        told: Reason | None = None,
    ) -> None:
        self.state = State.WAITING
        self.reason = Reason.STARTING
        self.since = 0.0
        self.until = 0.0
        self.phone_seen = phone_seen
        self.pairing = pairing
        self._linked = linked
        self._random = random
        self._notices = Notices(told)
        self._limit: float | None = None  # when the state's time is over
        self._end = Reason.STARTING  # why the link ended or is held
        self._down_since: float | None = None  # since when a linked account has no connection
        self._up_since = 0.0
        self._tries = 0  # starts of the driver without a stable connection
        self._stalled = False  # the event stream has died, and nothing is connected since
        self._blocked_until = 0.0

    def receive(self, event: on.Event, now: float) -> list[Effect]:
        """Take an event; `now` in seconds since 1970, from a clock that does not jump."""
        return [] if self.ended else self._receive(event, now)

    def _receive(self, event: on.Event, now: float) -> list[Effect]:
        match event:
            case on.PhoneSeen(time):
                self.phone_seen = max(self.phone_seen, min(time, now))
            case on.ContactsBlocked():
                self._blocked_until = now + BLOCKED
            case _:
                pass
        before = self.state
        cue = self._cue(event, now)
        turn = TABLE[before].get(cue) if cue else None
        if before is State.UNLINKED and cue in _LINKING and not self.pairing.driven:
            turn = None  # a stopped driver's late word; the keys speak when it is started again
        effects = self._go(cue, turn, event, now) if cue and turn else []
        # A number that a door gave before the first stream was open is remembered, too.
        remembered = isinstance(event, on.Present | on.Absent | on.XmppClosed) or (
            isinstance(event, on.PhoneAsked) and before is State.WAITING
        )
        if State.UNLINKED in {before, self.state} or remembered:
            effects += self.pairing.receive(event, now)
        effects += self._settle(now)
        return [*effects, StopForGood(self.reason)] if self.ended else effects

    @property
    def ended(self) -> bool:
        """Whether it has stopped for good; nothing comes of it any more."""
        return self.state is State.ENDED

    def _cue(self, event: on.Event, now: float) -> Cue | None:
        match event:
            case port.Link(reason=reason):
                return CUES.get(reason)
            case on.XmppOpened():
                return Cue.OPENED_LINKED if self._linked else Cue.OPENED_UNLINKED
            case on.Unlinked(ok):
                return Cue.UNLINKED if ok else Cue.NOT_UNLINKED
            case on.Tick():
                return Cue.DUE if self._limit is not None and now >= self._limit else None
            case _:
                return _PLAIN.get(type(event))

    # ---- what is done ------------------------------------------------------------------------------------------

    def _go(self, cue: Cue, turn: Turn, event: on.Event, now: float) -> list[Effect]:
        before, (self.state, *acts) = self.state, turn
        if cue in ENDINGS and (self.state is not before or self.state is State.UNLINKED):
            self._remember_end(event, before)
        if not {before, self.state} <= TRYING or self._limit is None:
            limit = LIMITS.get(self.state)
            self._limit = None if limit is None else now + limit
        if cue is Cue.STALLED:
            self._stalled = True
        if before is State.UNLINKED and cue in _LINKING:
            self._linked = True
            self._notices.linked()
        if self.state not in HELD:
            self.until = 0.0
        self._keep_time(before, now)
        return [effect for act in acts for effect in self._act(act, now)]

    def _remember_end(self, event: on.Event, before: State) -> None:
        """Keep why; a logout while we unlink is our own doing."""
        self._end, self.until = Reason.UNLINKED, 0.0
        if isinstance(event, on.Fenced):
            self._end = Reason.FENCED
        elif isinstance(event, port.Link) and (
            before is not State.UNLINKING or CUES[event.reason] is not Cue.LOGGED_OUT
        ):
            self._end, self.until = event.reason, float(event.until)

    def _keep_time(self, before: State, now: float) -> None:
        """Keep the times on which patience and pauses depend."""
        if self.state is State.CONNECTED:
            if before is not State.CONNECTED:
                self._up_since = now
            self._down_since, self._stalled = None, False
            self.phone_seen = self.phone_seen or now
        elif self.state in DOWN and self._down_since is None:
            self._down_since = now
            if now >= self._up_since + STABLE:
                self._tries = 0
        elif self.state in HELD or self.state is State.UNLINKED:
            self._down_since, self._stalled, self._tries = None, False, 0
            self._linked = self._linked and self.state is not State.UNLINKED

    def _act(self, act: Act, now: float) -> list[Effect]:
        if act is Act.RESTART:
            return self._restart(now)
        return self.pairing.park(self._end) if act is Act.PARK else [_ACTS[act]]

    def _restart(self, now: float) -> list[Effect]:
        """Start the driver anew: at once where only its events died, else when a growing pause is over."""
        self._tries += 1
        if self._stalled and self._tries == 1:
            self.state, self._limit = State.CONNECTING, now + STUCK
            return [RestartDriver()]
        self._limit = now + (RARE if self._tries > TRIES else delay(self._tries, self._random))
        return [StopDriver()]

    # ---- how it stands -----------------------------------------------------------------------------------------

    def _settle(self, now: float) -> list[Effect]:
        """Derive the reason, and say so where it is new."""
        if self.state is State.UNLINKED:
            ended = self.pairing.step is Step.ENDED
            self._limit = (self._limit or now + LINGER) if ended else None
        reason = self._reason(now)
        if reason is self.reason and self.since:
            return []
        self.reason, self.since = reason, now
        return [SetReason(reason, now, self.until), *self._notices.enter(reason, now, self.until)]

    def _reason(self, now: float) -> Reason:
        if self.state in HELD:
            return self._end if self._linked or self._end in {Reason.FENCED, Reason.REPLACED} else self.pairing.reason
        if self.state is State.UNLINKED:
            return self.pairing.reason
        if self.state is State.CONNECTED:
            if now >= self.phone_seen + PHONE_QUIET:
                return Reason.PHONE_QUIET
            return Reason.NEW_CONTACTS_BLOCKED if now < self._blocked_until else Reason.CONNECTED
        if self.state in DOWN and self._down_since is not None:
            return self._trouble(now, self._down_since)
        return self.reason  # waiting, leaving: as before

    def _trouble(self, now: float, down_since: float) -> Reason:
        if self._tries > TRIES:
            return Reason.UNREACHABLE
        if now >= down_since + PATIENCE:
            return Reason.KEEPALIVE_LOST if self.state is State.SILENT else Reason.CONNECTION_REFUSED
        if self._stalled:
            return Reason.EVENTS_STALLED
        return Reason.CONNECTION_LOST if self._up_since else Reason.CONNECTING

    @property
    def due(self) -> float | None:
        """When to send `Tick`: the first time at which anything may change by itself; None = only events count."""
        times = [self._limit, self.pairing.due if self.state is State.UNLINKED else None]
        if self.state in DOWN and self._down_since is not None and self.reason not in _LASTED:
            times.append(self._down_since + PATIENCE)
        if self.state is State.CONNECTED and self.reason is not Reason.PHONE_QUIET:
            times.append(self.phone_seen + PHONE_QUIET)
        if self.state is State.CONNECTED and self.reason is Reason.NEW_CONTACTS_BLOCKED:
            times.append(self._blocked_until)
        return None if self.ended else min((time for time in times if time is not None), default=None)
