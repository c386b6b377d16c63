"""The WhatsApp port: what core and features speak, and what every driver must give.

Typed events out, commands in, all in asyncio; no protobuf and no library's name beyond this line. Drivers are in the
neighbouring packages; the shard picks one. A driver declares in its capabilities what it cannot do; it never
pretends. Addresses are `model.address.Address` (no device). Times are whole seconds since 1970, UTC.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from ponton_bridge.model.address import Address
from ponton_bridge.model.errors import OwnerError, WhatsAppError
from ponton_bridge.model.states import Reason

# ---- content of a message -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text; `quoted` is the id of the message that it answers, '' for none."""

    body: str
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class Edit:
    """A new text for the message `target`."""

    target: str
    body: str


@dataclass(frozen=True, slots=True)
class Revoke:
    """The message `target` was deleted for everyone."""

    target: str


@dataclass(frozen=True, slots=True)
class Reaction:
    """An emoji on the message `target`; '' takes it back."""

    target: str
    emoji: str


@dataclass(frozen=True, slots=True)
class Location:
    """A place; degrees, WGS 84."""

    latitude: float
    longitude: float
    name: str = ""
    live: bool = False


class OtherKind(StrEnum):
    """What a message was that has no type of its own here yet. UNKNOWN is for what even the driver cannot name."""

    IMAGE = "image"
    VIDEO = "video"
    VIDEO_NOTE = "video_note"
    VOICE = "voice"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"
    ALBUM = "album"
    CONTACT = "contact"
    POLL = "poll"
    POLL_VOTE = "poll_vote"
    VIEW_ONCE = "view_once"
    GROUP_INVITE = "group_invite"
    EVENT = "event"
    PIN = "pin"
    BUSINESS = "business"
    PAYMENT = "payment"
    STATUS = "status"
    CHANNEL = "channel"
    TIMER = "timer"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Other:
    """Anything else: `text` is what can be said of it in words (caption, file name, question), '' for nothing."""

    kind: OtherKind
    text: str = ""


Content = Text | Edit | Revoke | Reaction | Location | Other

# ---- events ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Message:
    """A message in `chat`, by `sender`; `from_me` = written on the owner's phone or another linked device."""

    id: str
    chat: Address
    sender: Address
    content: Content
    time: int
    from_me: bool = False
    push_name: str = ""


@dataclass(frozen=True, slots=True)
class Undecryptable:
    """A message that could not be read (yet); `final` when no retry is to be expected."""

    id: str
    chat: Address
    sender: Address
    time: int
    final: bool = False


class ReceiptKind(StrEnum):
    """How far a message got."""

    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"


@dataclass(frozen=True, slots=True)
class Receipt:
    """`reader` has the messages `ids` of `chat`; `from_me` = read on another device of the owner."""

    chat: Address
    reader: Address
    ids: tuple[str, ...]
    kind: ReceiptKind
    time: int
    from_me: bool = False


class TypingState(StrEnum):
    """What the other one is doing."""

    COMPOSING = "composing"
    RECORDING = "recording"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Typing:
    """Somebody writes, or stops."""

    chat: Address
    sender: Address
    state: TypingState


@dataclass(frozen=True, slots=True)
class Presence:
    """A contact is there or not; `last_seen` None when hidden or unknown."""

    who: Address
    available: bool
    last_seen: int | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """A person: `name` from the phone's address book ('' if not in it), `push_name` as they call themselves."""

    who: Address
    name: str = ""
    push_name: str = ""


@dataclass(frozen=True, slots=True)
class Contacts:
    """Contacts as they are now; `complete` = whoever is not here is no contact any more."""

    entries: tuple[Contact, ...]
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """Somebody calls (`ended` False) or has stopped."""

    id: str
    caller: Address
    time: int
    ended: bool = False
    video: bool = False


class CodeKind(StrEnum):
    """How a code is used."""

    QR = "qr"
    PHONE = "phone"
    PASSKEY = "passkey"  # no code: a request that a passkey has to answer
    COMPARE = "compare"  # the phone shows it too, and the owner says whether it is the same


@dataclass(frozen=True, slots=True)
class Code:
    """A code to link with, valid for `seconds`: the text in the QR, the 8 letters, the code to compare.

    Or a passkey request: WebAuthn's PublicKeyCredentialRequestOptionsJSON (Web Authentication, level 3, 5.5).
    """

    kind: CodeKind
    text: str
    seconds: float
    number: int = 1


@dataclass(frozen=True, slots=True)
class Paired:
    """The phone has accepted this device."""

    own: Address


@dataclass(frozen=True, slots=True)
class PairingFailed:
    """Linking did not work; `reason` says how (CODES_USED_UP, PASSKEY_FAILED, FAILED …)."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Link:
    """The connection changed. `until` is when a ban ends (0 unknown); `own` is known once CONNECTED."""

    reason: Reason
    until: int = 0
    own: Address | None = None
    push_name: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """The driver may have lost something: `what` is a stable name for the counter."""

    what: str
    count: int = 1


Event = (
    Message
    | Undecryptable
    | Receipt
    | Typing
    | Presence
    | Contacts
    | Call
    | Code
    | Paired
    | PairingFailed
    | Link
    | Lost
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event. With a token it must be acknowledged once it is safe (or refused); without, nobody waits."""

    event: Event
    token: int | None = None


# ---- commands -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """WhatsApp's server has the message under this id."""

    id: str
    time: int


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do; doors and features read it instead of guessing."""

    name: str
    chosen_message_id: bool = False  # send() honours message_id, so that a repeat keeps its id
    acknowledges: bool = False  # WhatsApp hears of a message only after acknowledge()
    passkey: bool = False  # can answer a passkey request; else linking ends with PASSKEY_NEEDED
    pair_by_number: bool = True
    limits: tuple[str, ...] = field(default=())  # plain sentences for docs and the status view


class NotOnWhatsApp(OwnerError):
    """Nobody has this number at WhatsApp."""

    condition = "item-not-found"
    kind = "cancel"


class NewContactsBlocked(WhatsAppError):
    """Error 463: this account may not write to new contacts for now (never retried by itself)."""

    condition = "policy-violation"
    kind = "cancel"


class NotConnected(WhatsAppError):
    """There is no connection to WhatsApp now; nothing was sent."""


class SendRefused(WhatsAppError):
    """WhatsApp refused the message for good."""

    condition = "not-acceptable"
    kind = "cancel"


class SendUncertain(WhatsAppError):
    """No answer in time: the message may or may not have gone out."""


class WhatsApp(Protocol):
    """A driver: one linked device. Methods raise the errors above (or PontonError), never a library's."""

    capabilities: Capabilities

    async def start(self) -> None:
        """Begin to connect; states come as Link, Code … events. Returns at once."""

    async def stop(self) -> None:
        """Disconnect, keep the link; the event stream ends."""

    def events(self) -> AsyncIterator[Delivery]:
        """Everything that happens, in WhatsApp's order, for one reader."""

    def acknowledge(self, token: int, *, safe: bool = True) -> None:
        """Say that a durable event is safe here, or (safe=False) that WhatsApp should keep it."""

    async def pair_by_number(self, number: str) -> str:
        """Ask for the 8-letter code for the phone with this number (bare digits); only while not paired."""

    async def passkey_answer(self, answer: str) -> None:
        """Give the browser's answer (JSON) to a passkey request; returns once WhatsApp has taken it.

        What follows comes as events: COMPARE if the owner has to compare codes, else Paired or PairingFailed. Raises
        WhatsAppError when WhatsApp does not take it (another answer may be given), PontonError where not supported.
        """

    async def passkey_confirm(self) -> None:
        """Say that the codes are the same; PontonError as above."""

    async def send(self, chat: Address, content: Content, *, message_id: str | None, seconds: float) -> Sent:
        """Send; `message_id` counts only where capabilities say so. No answer in `seconds` is SendUncertain."""

    async def mark_read(self, chat: Address, sender: Address, ids: Sequence[str]) -> None:
        """Tell the sender that these messages were read, in one receipt."""

    async def typing(self, chat: Address, state: TypingState) -> None:
        """Show what the owner is doing."""

    async def presence(self, *, available: bool) -> None:
        """Show the owner as there or not."""

    async def subscribe(self, who: Address) -> None:
        """Ask for a contact's presence."""

    async def lookup(self, numbers: Sequence[str]) -> dict[str, Address | None]:
        """Find people by number (bare digits); None for those who are not at WhatsApp."""

    async def contacts(self) -> Contacts:
        """Give the address book as the link knows it now."""

    async def logout(self) -> None:
        """Remove this device from the account at WhatsApp and forget its keys."""
