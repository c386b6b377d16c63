"""What happens to an account beside WhatsApp's own events: the shard hands these to the link machine."""

from dataclasses import dataclass

from ponton_bridge.whatsapp import port


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that a machine gave as `due` has come."""


@dataclass(frozen=True, slots=True)
class XmppOpened:
    """The XMPP server has accepted our epoch: the stream is open."""


@dataclass(frozen=True, slots=True)
class XmppClosed:
    """The stream is gone for now; who of the owner is there is no longer known."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """A newer epoch serves this account (a conflict from the XMPP server, or Redis refused our epoch)."""


@dataclass(frozen=True, slots=True)
class Present:
    """A resource of the owner can take messages now (available, priority 0 or more)."""

    resource: str


@dataclass(frozen=True, slots=True)
class Absent:
    """That resource is gone."""

    resource: str


@dataclass(frozen=True, slots=True)
class NewCode:
    """The owner asks for a code; `watching`: on a page, where it is seen even without an XMPP client."""

    watching: bool = False


@dataclass(frozen=True, slots=True)
class PhoneAsked:
    """The owner wants the 8 letters for the phone with this number (bare digits)."""

    number: str


@dataclass(frozen=True, slots=True)
class PhoneCode:
    """The driver gave the 8 letters."""

    text: str


@dataclass(frozen=True, slots=True)
class PhoneRefused:
    """WhatsApp gave none; who asked was told why."""


@dataclass(frozen=True, slots=True)
class PasskeyGiven:
    """The browser's answer to a passkey request (JSON)."""

    answer: str


@dataclass(frozen=True, slots=True)
class PasskeyTaken:
    """WhatsApp has taken the answer, or (False) has not; who asked was told why."""

    ok: bool


@dataclass(frozen=True, slots=True)
class CodesCompared:
    """The owner's word: the codes are the same, or not. While a passkey is asked for, 'not' calls the attempt off."""

    same: bool


@dataclass(frozen=True, slots=True)
class Unlink:
    """The owner, a door or a deletion wants the device removed."""


@dataclass(frozen=True, slots=True)
class Unlinked:
    """The driver's word on `Logout`."""

    ok: bool


@dataclass(frozen=True, slots=True)
class PhoneSeen:
    """The owner's phone did something at this time (seconds since 1970)."""

    time: float


@dataclass(frozen=True, slots=True)
class ContactsBlocked:
    """A send was refused with error 463: no new conversations for now."""


Event = (
    Tick
    | XmppOpened
    | XmppClosed
    | Fenced
    | Present
    | Absent
    | NewCode
    | PhoneAsked
    | PhoneCode
    | PhoneRefused
    | PasskeyGiven
    | PasskeyTaken
    | CodesCompared
    | Unlink
    | Unlinked
    | PhoneSeen
    | ContactsBlocked
    | port.Link
    | port.Code
    | port.Paired
    | port.PairingFailed
)
