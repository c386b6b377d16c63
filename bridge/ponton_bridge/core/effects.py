"""What the machines of one account want done; the shard carries each effect out, in the order given.

`core.link` and `core.pairing` give them. An effect is complete in itself: who carries it out looks up nothing.
"""

from dataclasses import dataclass

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp.port import CodeKind


@dataclass(frozen=True, slots=True)
class StartDriver:
    """Make the WhatsApp driver and let it connect; without keys it gives codes to link with."""


@dataclass(frozen=True, slots=True)
class StopDriver:
    """Disconnect and drop the driver; keys stay."""


@dataclass(frozen=True, slots=True)
class RestartDriver:
    """Stop, and start with a fresh client at once; keys stay."""


@dataclass(frozen=True, slots=True)
class ForgetKeys:
    """Delete the driver's keys: WhatsApp or the owner has ended the link. Comes after StopDriver."""


@dataclass(frozen=True, slots=True)
class Logout:
    """Remove this device at WhatsApp; answer with the event `Unlinked`."""


@dataclass(frozen=True, slots=True)
class NotUnlinked:
    """Unlinking did not work in time; keys are kept, so that it can be asked for again."""


@dataclass(frozen=True, slots=True)
class StopForGood:
    """Drain, note the reason where the operator finds it, and end with exit code 0. Nothing follows it."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class SetReason:
    """The link is in another state now; publish it. `until` is 0.0 unless its end is known."""

    reason: Reason
    since: float
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Tell:
    """Send the owner the sentence of `TABLE[reason]`, and keep the reason as the last told."""

    reason: Reason
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class ShowCode:
    """Show this code to these resources of the owner; a QR takes the place of the QR before it."""

    code: LiveCode
    to: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExpireCode:
    """What was shown of this kind cannot be used any more: say so where it was shown; `linked` = it has worked."""

    kind: CodeKind
    linked: bool


@dataclass(frozen=True, slots=True)
class PublishCode:
    """Let the doors show this code."""

    code: LiveCode


@dataclass(frozen=True, slots=True)
class ClearCode:
    """Take the code back from the doors."""


@dataclass(frozen=True, slots=True)
class AskPhoneCode:
    """Ask the driver for the 8 letters for this number; answer with `PhoneCode` or `PhoneRefused`."""

    number: str


@dataclass(frozen=True, slots=True)
class AnswerPasskey:
    """Hand the browser's answer to the driver; answer with `PasskeyTaken`."""

    answer: str


@dataclass(frozen=True, slots=True)
class RefusePasskey:
    """Whoever gave an answer, or compared codes, is told that it cannot be used."""

    problem: OwnerError


@dataclass(frozen=True, slots=True)
class ConfirmPasskey:
    """Tell WhatsApp that the codes are the same; a failure is answered with `PasskeyTaken(False)`."""


Effect = (
    StartDriver
    | StopDriver
    | RestartDriver
    | ForgetKeys
    | Logout
    | NotUnlinked
    | StopForGood
    | SetReason
    | Tell
    | ShowCode
    | ExpireCode
    | PublishCode
    | ClearCode
    | AskPhoneCode
    | AnswerPasskey
    | RefusePasskey
    | ConfirmPasskey
)
