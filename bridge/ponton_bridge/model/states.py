"""The one table of how a link can be: state, reason, condition, the owner's sentence, and who acts next.

The link machine names a reason; the shard tells the owner its sentence; doors, conditions and docs read the same
rows. The vocabulary is what bridges in production settled on.
"""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Coarse phase of an account, as shown in lists."""

    PENDING = "Pending"
    STARTING = "Starting"
    WAITING_FOR_SCAN = "WaitingForScan"
    CONNECTING = "Connecting"
    RUNNING = "Running"
    DEGRADED = "Degraded"
    PARKED = "Parked"
    STOPPED = "Stopped"
    FAILED = "Failed"
    DELETING = "Deleting"


class Next(StrEnum):
    """What happens next, and by whom."""

    NOTHING = "nothing"
    WAIT = "wait"  # the bridge goes on by itself
    SCAN = "scan"  # the owner scans or types the code
    PASSKEY = "passkey"  # the owner answers what WhatsApp asks with a passkey
    NEW_CODE = "new_code"  # the owner asks for a new code
    OPEN_PHONE = "open_phone"  # the owner opens WhatsApp on the phone
    HOST = "host"  # the host has to act (update, restart, look at the log)
    STOP = "stop"  # the shard ends for good; the operator decides


class Reason(StrEnum):
    """Why a link is as it is: machine-readable, stable, CamelCase as Kubernetes reasons are."""

    STARTING = "Starting"
    WAITING_FOR_SCAN = "WaitingForScan"
    WAITING_FOR_OWNER = "WaitingForOwner"
    CODES_USED_UP = "CodesUsedUp"
    WAITING_FOR_PASSKEY = "WaitingForPasskey"
    PASSKEY_ANSWERED = "PasskeyAnswered"
    COMPARING_CODES = "ComparingCodes"
    PASSKEY_UNANSWERED = "PasskeyUnanswered"
    PASSKEY_FAILED = "PasskeyFailed"
    CODES_DIFFER = "CodesDiffer"
    PAIRING_FAILED = "PairingFailed"
    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    CONNECTION_LOST = "ConnectionLost"
    CONNECTION_REFUSED = "ConnectionRefused"
    UNREACHABLE = "Unreachable"
    KEEPALIVE_LOST = "KeepAliveLost"
    EVENTS_STALLED = "EventsStalled"
    LOGGED_OUT = "LoggedOut"
    UNLINKED = "Unlinked"
    PHONE_GONE = "PhoneGone"
    PHONE_QUIET = "PhoneQuiet"
    REPLACED = "Replaced"
    BANNED = "Banned"
    OUTDATED = "ClientOutdated"
    PASSKEY_NEEDED = "PasskeyNeeded"
    NEW_CONTACTS_BLOCKED = "NewContactsBlocked"
    FENCED = "Fenced"
    STALE_STORE = "StaleStore"
    PARKED = "Parked"
    STOPPED = "Stopped"
    CRASHING = "Crashing"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: `show` is the presence of the gateway ('' available, None unavailable), `tell` sends a message once."""

    phase: Phase
    sentence: str
    next: Next
    show: str | None
    tell: bool = True


TABLE: dict[Reason, Row] = {
    Reason.STARTING: Row(Phase.STARTING, "The bridge is starting.", Next.WAIT, "dnd", tell=False),
    Reason.WAITING_FOR_SCAN: Row(
        Phase.WAITING_FOR_SCAN,
        "Not linked yet: scan the code with WhatsApp on your phone.",
        Next.SCAN,
        "dnd",
        tell=False,
    ),
    Reason.WAITING_FOR_OWNER: Row(
        Phase.WAITING_FOR_SCAN,
        "Not linked yet: a code is sent as soon as you are online.",
        Next.WAIT,
        "dnd",
        tell=False,
    ),
    Reason.CODES_USED_UP: Row(
        Phase.PARKED,
        "No code was scanned in time, so this attempt has ended. Write 'code' to get a new one.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.WAITING_FOR_PASSKEY: Row(
        Phase.WAITING_FOR_SCAN,
        "WhatsApp asks for your passkey before it links this number. Write 'passkey' to see how to answer.",
        Next.PASSKEY,
        "dnd",
        tell=False,
    ),
    Reason.PASSKEY_ANSWERED: Row(
        Phase.WAITING_FOR_SCAN,
        "WhatsApp has the answer of your passkey. Open WhatsApp on your phone if it asks for something there.",
        Next.OPEN_PHONE,
        "dnd",
        tell=False,
    ),
    Reason.COMPARING_CODES: Row(
        Phase.WAITING_FOR_SCAN,
        "WhatsApp shows a code on your phone, to be compared with ours. Write 'passkey' to see it.",
        Next.PASSKEY,
        "dnd",
        tell=False,
    ),
    Reason.PASSKEY_UNANSWERED: Row(
        Phase.PARKED,
        "WhatsApp's request for a passkey was not answered, so this attempt has ended. Write 'code' to try again.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.PASSKEY_FAILED: Row(
        Phase.PARKED,
        "WhatsApp did not link this number with the answer of your passkey, so this attempt has ended. "
        "Write 'code' to try again.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.CODES_DIFFER: Row(
        Phase.PARKED,
        "The codes were not the same, so nothing was linked: somebody may have come between. "
        "Write 'code' to try again.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.PAIRING_FAILED: Row(
        Phase.PARKED,
        "Your phone and WhatsApp did not agree to link, so this attempt has ended. Write 'code' to try again.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.CONNECTING: Row(Phase.CONNECTING, "Connecting to WhatsApp.", Next.WAIT, "away", tell=False),
    Reason.CONNECTED: Row(Phase.RUNNING, "Linked with WhatsApp.", Next.NOTHING, "", tell=False),
    Reason.CONNECTION_LOST: Row(
        Phase.DEGRADED,
        "The connection to WhatsApp was lost; it is being made again.",
        Next.WAIT,
        "away",
        tell=False,
    ),
    Reason.CONNECTION_REFUSED: Row(
        Phase.DEGRADED,
        "WhatsApp cannot be reached at the moment. The bridge keeps trying; your messages wait.",
        Next.WAIT,
        "away",
    ),
    Reason.UNREACHABLE: Row(
        Phase.FAILED,
        "WhatsApp could not be reached for a long time. The bridge tries now and then, your messages wait; "
        "your host can look at the network.",
        Next.HOST,
        "away",
    ),
    Reason.KEEPALIVE_LOST: Row(
        Phase.DEGRADED,
        "WhatsApp does not answer at the moment. The bridge keeps trying; your messages wait.",
        Next.WAIT,
        "away",
    ),
    Reason.EVENTS_STALLED: Row(
        Phase.DEGRADED,
        "The WhatsApp connection had to be started again. A message that came in just then may be missing: "
        "look at your phone.",
        Next.WAIT,
        "away",
    ),
    Reason.LOGGED_OUT: Row(
        Phase.PARKED,
        "WhatsApp has ended this link: the device was removed on your phone, or WhatsApp logged it out. "
        "Write 'code' to link again.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.UNLINKED: Row(
        Phase.PARKED, "The link with WhatsApp is removed. Write 'code' to link again.", Next.NEW_CODE, "xa"
    ),
    Reason.PHONE_GONE: Row(
        Phase.PARKED,
        "WhatsApp on your phone has been moved or removed, so this link has ended. "
        "Write 'code' to link again from the phone that you use now.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.PHONE_QUIET: Row(
        Phase.RUNNING,
        "Your phone was not seen for a while. Open WhatsApp on it, or WhatsApp ends this link "
        "after about 14 days without it.",
        Next.OPEN_PHONE,
        "",
    ),
    Reason.REPLACED: Row(
        Phase.FAILED,
        "This link is in use at another place, so the bridge has stopped here. Tell your host.",
        Next.STOP,
        "xa",
    ),
    Reason.BANNED: Row(
        Phase.PARKED,
        "WhatsApp has suspended this number for a time. The bridge has stopped; "
        "write 'code' when WhatsApp works on your phone again.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.OUTDATED: Row(
        Phase.FAILED,
        "WhatsApp asks for a newer version of the bridge. Your host has to update it; your link is kept.",
        Next.HOST,
        "xa",
    ),
    Reason.PASSKEY_NEEDED: Row(
        Phase.PARKED,
        "WhatsApp asks for a passkey to link this number. The driver that your host uses (neonize) cannot answer that: "
        "your host has to install the WhatsApp core.",
        Next.HOST,
        "xa",
    ),
    Reason.NEW_CONTACTS_BLOCKED: Row(
        Phase.RUNNING,
        "WhatsApp does not let this number write to new contacts for now. "
        "Conversations that exist already go on; try new ones again in some days.",
        Next.WAIT,
        "",
    ),
    Reason.FENCED: Row(Phase.STOPPED, "A newer process serves this account.", Next.STOP, None, tell=False),
    Reason.STALE_STORE: Row(
        Phase.FAILED,
        "The stored keys of this link are older than the link itself and cannot be used. Write 'code' to link again.",
        Next.NEW_CODE,
        "xa",
    ),
    Reason.PARKED: Row(
        Phase.PARKED, "The bridge is parked. Write 'code' to link again.", Next.NEW_CODE, "xa", tell=False
    ),
    Reason.STOPPED: Row(Phase.STOPPED, "Your host has stopped this account.", Next.HOST, "xa"),
    Reason.CRASHING: Row(
        Phase.FAILED,
        "The bridge of your account ends unexpectedly again and again. It is tried again later; your host can see why.",
        Next.HOST,
        "away",
    ),
    Reason.FAILED: Row(
        Phase.FAILED,
        "Something went wrong in the bridge. Your host can see it in the log.",
        Next.HOST,
        "away",
    ),
}
