"""One attempt to link a phone: when codes may be shown, which one is live, and how the attempt ends.

Fed by the link machine while the account has no link (`core.link`), which hands the effects on to the shard.
Codes are only asked of WhatsApp while somebody can see them: a resource of the owner is available, or a page is being
watched. An attempt shows at most `total` QR codes, counted over all absences, and then ends in one clear state;
only the owner's 'new code' begins the next. WhatsApp's own times: the first code lives 60 s, the others 20 s, six in
all.

WhatsApp may want a passkey's answer after the scan: then the codes are over, a request stands in their place, and after
it perhaps a code to compare. Its keys live in the driver's memory alone, so nothing of the step survives a new start of
driver or shard: codes come again, the request before is void, and an answer to it is refused with a sentence.
"""

from collections.abc import Callable
from typing import Final

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.core import events as on
from ponton_bridge.core import passkey
from ponton_bridge.core.backoff import delay
from ponton_bridge.core.effects import (
    AnswerPasskey,
    AskPhoneCode,
    ClearCode,
    ConfirmPasskey,
    Effect,
    ExpireCode,
    PublishCode,
    RefusePasskey,
    RestartDriver,
    ShowCode,
    StartDriver,
    StopDriver,
)
from ponton_bridge.core.pairing_table import BY_HAND, DRIVEN, FATAL, TABLE, UNREACHABLE, Step
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import port

TOTAL: Final = 6  # QR codes of an attempt; what WhatsApp gives on one connection
FIRST_CODE: Final = 30.0  # seconds to wait for the first code; it takes 0.5 s when WhatsApp answers
FIRST_LIFE: Final = 60.0  # seconds, when the driver does not say
LIFE: Final = 20.0
SUCCESSOR: Final = 3.0  # seconds after a code's end in which the next one may still take its place
WINDOW: Final = 165.0  # seconds from the first code; the driver's silent end comes at 160
WATCH: Final = 180.0  # seconds that a page counts as watched after it asked for a code
WORTH_SHOWING: Final = 5.0  # seconds that a code must still live to be sent to a newcomer
PASSKEY_LIFE: Final = 600.0  # seconds; WhatsApp's own limit
ANSWERS: Final = 5  # to one request that WhatsApp may refuse before the attempt ends
HANDOFF: Final = 300.0  # seconds for the phone to act after the answer, and for the owner to compare; whatsmeow's own
TRIES: Final = 20  # times that WhatsApp may not be reachable before the attempt fails
RESOURCES: Final = 50  # clients of one owner that are kept in mind
NOT_ASKED: Final = "WhatsApp does not wait for this now. Write 'status' to see how your link is."


class Pairing:
    """The machine; `ended` = how this account's last attempt ended, so that a restart does not begin another.

    `reason` says how it stands, `due` when to send `Tick`, `code` is what is live: a QR, a passkey request or a code to
    compare.
    """

    def __init__(
        self, *, total: int = TOTAL, random: Callable[[], float] = lambda: 1.0, ended: Reason | None = None
    ) -> None:
        self.step = Step.ENDED if ended else Step.IDLE
        self.reason = ended or Reason.STARTING
        self.code: LiveCode | None = None
        self.due: float | None = None
        self._total = total
        self._random = random
        self._resources: dict[str, None] = {}  # ordered; values mean nothing
        self._watched_until = 0.0
        self._window_end = 0.0
        self._count = 0  # QR codes shown in this attempt
        self._tries = 0
        self._answers = 0  # to the passkey request that is open
        self._number = ""  # wants the 8 letters once there is a connection
        self._letters: LiveCode | None = None
        self._letters_due = False  # asked for or given: the connection must last
        self._shown: dict[port.CodeKind, None] = {}  # what is on the owner's screen, in order

    def receive(self, event: on.Event, now: float) -> list[Effect]:
        """Take an event; `now` in seconds since 1970."""
        match event:
            case on.Present(resource):
                if len(self._resources) < RESOURCES:
                    self._resources[resource] = None
            case on.Absent(resource):
                self._resources.pop(resource, None)
            case on.XmppClosed():
                self._resources.clear()
            case on.NewCode(watching=True):
                self._watched_until = now + WATCH
            case on.PhoneAsked(number):
                self._number = number
            case _:
                pass
        name = TABLE[self.step].get(type(event))
        if name is None and isinstance(event, BY_HAND):
            return [RefusePasskey(OwnerError(NOT_ASKED))]
        if name is None or (isinstance(event, on.Tick) and (self.due is None or now < self.due)):
            return []
        handler: Callable[[on.Event, float], list[Effect]] = getattr(self, f"_{name}")
        return handler(event, now)

    @property
    def driven(self) -> bool:
        """Whether the driver runs for this attempt."""
        return self.step in DRIVEN

    def park(self, reason: Reason) -> list[Effect]:
        """End an attempt (or a link that was) from outside."""
        return self._end(reason)

    def _visible(self, now: float) -> bool:
        return bool(self._resources) or now < self._watched_until

    # ---- beginning ---------------------------------------------------------------------------------------------

    def _begin(self, _event: on.Event, now: float) -> list[Effect]:
        if not self._visible(now) and not self._number:
            self.step, self.reason, self.due = Step.ABSENT, Reason.WAITING_FOR_OWNER, None
            return []
        self.step, self.due = Step.OPENING, now + FIRST_CODE
        if not self._tries:
            self.reason = Reason.STARTING
        return [StartDriver()]

    def _anew(self, event: on.Event, now: float) -> list[Effect]:
        self._count = self._tries = 0
        return self._begin(event, now)

    def _reopen(self, event: on.Event, now: float) -> list[Effect]:
        return self._begin(event, now)

    def _unreachable(self, _event: on.Event, now: float) -> list[Effect]:
        """No connection, or no code in time: wait longer each time, and not for ever."""
        self._tries += 1
        if self._tries > TRIES:
            return self._end(Reason.FAILED)
        effects = [*self._void(linked=False), *self._stop()]
        self.step, self.reason = Step.RESTING, Reason.CONNECTION_REFUSED
        self.due = now + delay(self._tries, self._random)
        return effects

    # ---- codes -------------------------------------------------------------------------------------------------

    def _code(self, event: port.Code, now: float) -> list[Effect]:
        if event.kind is port.CodeKind.COMPARE:
            return []  # with what? No passkey was asked for
        if self.step is Step.OPENING:
            self.step, self.reason, self._tries = Step.SHOWING, Reason.WAITING_FOR_SCAN, 0
            self.due = self._window_end = now + WINDOW
        if event.kind is port.CodeKind.PASSKEY:
            return self._ask_passkey(event, now)
        return self._letters_given(event.text) if event.kind is port.CodeKind.PHONE else self._scan_code(event, now)

    def _scan_code(self, event: port.Code, now: float) -> list[Effect]:
        effects = self._ask_letters() if self._number else []
        if not self._visible(now) and not self._letters_due:
            return self._pause()
        if self._count >= self._total and not self._letters_due:
            return self._end(Reason.CODES_USED_UP)
        self.due = self._window_end
        if not self._visible(now) or self._count >= self._total:
            return [*effects, *self._void_code()]
        self._count += 1
        seconds = event.seconds if event.seconds > 0 else FIRST_LIFE if self._count == 1 else LIFE
        self.code = LiveCode(port.CodeKind.QR, event.text, self._count, self._total, now + seconds)
        self.due = min(self.code.expires + SUCCESSOR, self._window_end)
        return [*effects, *self._show(self.code), PublishCode(self.code)]

    def _show(self, code: LiveCode, *to: str) -> list[Effect]:
        """Show it to these resources, or to all that are there."""
        to = to or tuple(self._resources)
        if not to:
            return []
        self._shown[port.CodeKind(code.kind)] = None
        return [ShowCode(code, to)]

    def _show_newcomer(self, event: on.Present, now: float) -> list[Effect]:
        live = [code for code in (self.code, self._letters) if code and code.expires - now >= WORTH_SHOWING]
        return [effect for code in live for effect in self._show(code, event.resource)]

    def _show_again(self, _event: on.Event, now: float) -> list[Effect]:
        """The owner asks while a code is live: the same one, to everybody."""
        if not self.code or self.code.expires - now < WORTH_SHOWING:
            return []
        return [*self._show(self.code), PublishCode(self.code)]

    def _expired(self, _event: on.Event, now: float) -> list[Effect]:
        """The live code had no successor, or the driver's codes are through (it ends without a word)."""
        if now < self._window_end:
            if self._count >= self._total and not self._letters_due:
                return self._end(Reason.CODES_USED_UP)
            self.due = self._window_end
            return self._void_code()
        self._letters_due = False
        if self._count >= self._total:
            return self._end(Reason.CODES_USED_UP)
        if not self._visible(now):
            return self._pause()
        self.step, self.due = Step.OPENING, now + FIRST_CODE
        return [*self._void(linked=False), RestartDriver()]

    def _pause(self) -> list[Effect]:
        """A code that nobody can see: stop asking WhatsApp until somebody is there; what was shown stays counted."""
        effects = [*self._void(linked=False), *self._stop()]
        self.step, self.reason, self.due = Step.ABSENT, Reason.WAITING_FOR_OWNER, None
        return effects

    def _stop(self) -> list[Effect]:
        return [StopDriver()] if self.driven else []

    def _void_code(self, *, linked: bool = False) -> list[Effect]:
        """What is live is over."""
        if not self.code:
            return []
        kind, self.code = port.CodeKind(self.code.kind), None
        return [ClearCode(), *self._expire(kind, linked=linked)]

    def _void(self, *, linked: bool) -> list[Effect]:
        """Whatever is shown or published is over."""
        self._letters, self._letters_due = None, False
        effects = self._void_code(linked=linked)
        return effects + [effect for kind in tuple(self._shown) for effect in self._expire(kind, linked=linked)]

    def _expire(self, kind: port.CodeKind, *, linked: bool) -> list[Effect]:
        if kind not in self._shown:
            return []
        del self._shown[kind]
        return [ExpireCode(kind, linked)]

    # ---- the 8 letters -----------------------------------------------------------------------------------------

    def _want_letters(self, _event: on.Event, _now: float) -> list[Effect]:
        return self._ask_letters()

    def _ask_letters(self) -> list[Effect]:
        number, self._number = self._number, ""
        self._letters_due = True
        return [AskPhoneCode(number)]

    def _got_letters(self, event: on.PhoneCode, _now: float) -> list[Effect]:
        return self._letters_given(event.text)

    def _letters_given(self, text: str) -> list[Effect]:
        self._letters_due = True
        self._letters = LiveCode(port.CodeKind.PHONE, text, 1, 1, self._window_end)
        return self._show(self._letters)

    def _no_letters(self, _event: on.Event, _now: float) -> list[Effect]:
        self._letters_due = False
        return []

    # ---- passkey -----------------------------------------------------------------------------------------------

    def _ask_passkey(self, event: port.Code, now: float) -> list[Effect]:
        effects = self._void(linked=True)
        self._answers = 0
        self.step, self.reason = Step.PASSKEY, Reason.WAITING_FOR_PASSKEY
        return effects + self._ask(event, now, PASSKEY_LIFE)

    def _ask(self, event: port.Code, now: float, life: float) -> list[Effect]:
        seconds = event.seconds if event.seconds > 0 else life
        self.code = LiveCode(event.kind, event.text, 1, 1, now + seconds)
        self.due = self.code.expires
        return [*self._show(self.code), PublishCode(self.code)]

    def _answer(self, event: on.PasskeyGiven, now: float) -> list[Effect]:
        if self.code is None:
            return []
        try:
            answer = passkey.check(event.answer, self.code.text)
        except OwnerError as problem:
            return [RefusePasskey(problem)]
        self._answers += 1
        self.step, self.due = Step.ANSWERED, max(self.code.expires, now + HANDOFF)
        return [AnswerPasskey(answer.to_json())]

    def _taken(self, event: on.PasskeyTaken, now: float) -> list[Effect]:
        """Wait for the phone, or for another answer."""
        if event.ok:
            self.reason, self.due = Reason.PASSKEY_ANSWERED, now + HANDOFF
            return self._void_code(linked=True)
        if self.code is None or self._answers >= ANSWERS or now >= self.code.expires:
            return self._end(Reason.PASSKEY_FAILED)
        self.step, self.due = Step.PASSKEY, self.code.expires
        return []

    def _code_instead(self, event: port.Code, now: float) -> list[Effect]:
        """Something else to show: another request, the code to compare, or codes of a driver that began anew."""
        match event.kind:
            case port.CodeKind.PASSKEY:
                return self._ask_passkey(event, now)
            case port.CodeKind.COMPARE:
                self.step, self.reason = Step.COMPARING, Reason.COMPARING_CODES
                return [*self._void_code(linked=True), *self._ask(event, now, HANDOFF)]
            case _:
                effects = self._void(linked=False)
                self.step = Step.OPENING
                return effects + self._code(event, now)

    def _compared(self, event: on.CodesCompared, now: float) -> list[Effect]:
        if not event.same:
            return self._end(Reason.CODES_DIFFER)
        self.step, self.reason, self.due = Step.ANSWERED, Reason.PASSKEY_ANSWERED, now + HANDOFF
        return [*self._void_code(linked=True), ConfirmPasskey()]

    def _call_off(self, event: on.CodesCompared, _now: float) -> list[Effect]:
        return [RefusePasskey(OwnerError(NOT_ASKED))] if event.same else self._end(Reason.PASSKEY_UNANSWERED)

    def _unanswered(self, _event: on.Event, _now: float) -> list[Effect]:
        return self._end(Reason.PASSKEY_FAILED if self.step is Step.ANSWERED else Reason.PASSKEY_UNANSWERED)

    def _passkey_failed(self, event: port.PairingFailed, now: float) -> list[Effect]:
        """End as told; a connection that WhatsApp has closed is no code that nobody has scanned."""
        return self._unanswered(event, now) if event.reason is Reason.CODES_USED_UP else self._failed(event, now)

    # ---- ends --------------------------------------------------------------------------------------------------

    def _paired(self, _event: on.Event, _now: float) -> list[Effect]:
        self.step, self.reason, self.due, self._number = Step.LINKED, Reason.CONNECTING, None, ""
        return self._void(linked=True)

    def _link(self, event: port.Link, now: float) -> list[Effect]:
        if event.reason is Reason.CONNECTED:  # the keys were there: a scan that we did not hear of any more
            return self._paired(event, now)
        if event.reason in UNREACHABLE:
            return self._unreachable(event, now)
        return self._end(event.reason) if event.reason in FATAL else []

    def _failed(self, event: port.PairingFailed, _now: float) -> list[Effect]:
        return self._end(Reason.PAIRING_FAILED if event.reason is Reason.FAILED else event.reason)

    def _end(self, reason: Reason) -> list[Effect]:
        effects = [*self._void(linked=False), *self._stop()]
        self.step, self.reason, self.due, self._number = Step.ENDED, reason, None, ""
        return effects
