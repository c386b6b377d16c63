"""The Redis contract: names of keys and streams, and the values in them. Pure; read by both planes.

Every name starts with `ponton:<gateway>:`; what belongs to one account with `ponton:<gateway>:a:<account>:`, where
gateway and account are resource names (opaque: no JID, no number), so that one ACL pattern confines a shard to its
own keys. A shard writes through one script that refuses a smaller epoch than the highest seen.
Redis is never the only copy of anything that must not be lost.
"""

import json
import re
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, Final, Self

LEASE_TTL: Final = 15.0  # seconds; three missed renewals
LEASE_RENEW: Final = 5.0  # seconds
HEARTBEAT_TTL: Final = 60  # seconds; a heartbeat goes with each renewal
COMMANDS_MAX: Final = 100  # entries of an account's command stream
HISTORY_MAX: Final = 50  # things that happened to an account; the oldest go
HISTORY_TTL: Final = 30 * 86400  # seconds after the last of them; deleting the account takes them at once
STATES_MAX: Final = 20_000  # entries of a gateway's stream of state changes: two for each of 10,000 accounts
RESULT_TTL: Final = 120  # seconds a command's result waits for its door
PAGE: Final = "page"  # argument of Verb.NEW_CODE: somebody watches a page, whoever is online
PAGES_TTL: Final = 30.0  # seconds that a replica's word on its open pages holds; it is said every 10
FRONT_DESK: Final = "front.desk"  # where commands to the front desk go; no account's name holds a dot
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")  # a Kubernetes resource name (RFC 1123 subdomain)


@dataclass(frozen=True, slots=True)
class Keys:
    """Names for one account of a gateway ('' for what is the gateway's own); ValueError for what is no resource name.

    >>> Keys("gw", "acc-1").lease
    'ponton:gw:a:acc-1:lease'
    """

    gateway: str
    account: str

    def __post_init__(self) -> None:
        # A `*` or `[` in a name would be a pattern in the user's rights and in searches.
        if not (_NAME.fullmatch(self.gateway) and _NAME.fullmatch(self.account or "x")):
            raise ValueError("This is not the name of a resource.")

    @property
    def prefix(self) -> str:
        """What an ACL pattern of this account's Redis user is made of."""
        return f"ponton:{self.gateway}:a:{self.account}:"

    @property
    def everybody(self) -> str:
        """What patterns over the keys of all accounts of the gateway begin with."""
        return f"ponton:{self.gateway}:a:*:"

    @property
    def fence(self) -> str:
        """String: the highest epoch that wrote here."""
        return self.prefix + "fence"

    @property
    def lease(self) -> str:
        """Hash epoch, instance; expires after LEASE_TTL."""
        return self.prefix + "lease"

    @property
    def heartbeat(self) -> str:
        """Hash after `Heartbeat`; expires after HEARTBEAT_TTL."""
        return self.prefix + "hb"

    @property
    def day(self) -> str:
        """String: `core.day.Day` as text; expires when nothing in it is of the last day."""
        return self.prefix + "day"

    @property
    def commands(self) -> str:
        """Stream of `Command`, written by doors; a handled entry is deleted."""
        return self.prefix + "cmd"

    def result(self, command_id: str) -> str:
        """List with one JSON `Result`; the door waits on it."""
        return f"{self.prefix}res:{command_id}"

    @property
    def code(self) -> str:
        """String: JSON `LiveCode`; expires with the code."""
        return self.prefix + "code"

    @property
    def state(self) -> str:
        """Hash after `StateChange`: the newest, in the account's own keys, so that nobody else can have written it."""
        return self.prefix + "state"

    @property
    def history(self) -> str:
        """Stream of `Happening`, newest last; outside the account's room: its shard has no part in it."""
        return f"ponton:{self.gateway}:h:{self.account}"

    @property
    def states(self) -> str:
        """Stream of `StateChange` of the whole gateway; a shard may only add to it."""
        return f"ponton:{self.gateway}:states"

    @property
    def portal(self) -> str:
        """What all keys of the gateway's portal begin with: sessions, logins under way, counts of tries."""
        return f"ponton:{self.gateway}:portal:"

    @property
    def pages(self) -> str:
        """Hash by replica of the portal: how many pages are open there, and when that was (Redis' seconds)."""
        return self.portal + "pages"


class Door(StrEnum):
    """The doors that have a user of their own at Redis."""

    FRONT_DESK = "frontdesk"
    PORTAL = "portal"


@dataclass(frozen=True, slots=True)
class Flat:
    """Fields that travel as text, as Redis hashes and streams want it; they are int, float or str."""

    def to_redis(self) -> dict[str, str]:
        """Give all fields as text."""
        return {k: str(v) for k, v in asdict(self).items()}

    def to_json(self) -> str:
        """Give all fields as one JSON object, for values that are one string."""
        return json.dumps(self.to_redis(), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` gave; ValueError when it is something else."""
        raw = json.loads(text)
        if not (isinstance(raw, dict) and all(isinstance(value, str) for value in raw.values())):
            raise ValueError(f"This is no {cls.__name__}.")
        return cls.from_redis(raw)

    @classmethod
    def from_redis(cls, raw: dict[str, str]) -> Self:
        """Read fields from text, unknown ones ignored; ValueError when one is missing or unreadable."""
        values: dict[str, Any] = {f.name: f.type(raw[f.name]) for f in fields(cls) if f.name in raw}  # type: ignore[operator]  # scalars only
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"{cls.__name__} lacks a field") from error


@dataclass(frozen=True, slots=True)
class Heartbeat(Flat):
    """How a shard is; counts since its start, times in seconds since 1970, memory in KiB."""

    epoch: int
    instance: str
    time: float
    reason: str = ""
    since: float = 0.0
    xmpp: int = 0  # 1 = stream open
    paired: int = 0
    queue_out: int = 0  # journaled, not yet at WhatsApp
    queue_in: int = 0  # journaled, not yet covered by Prosody
    sent: int = 0
    received: int = 0
    lost: int = 0
    uncertain: int = 0
    rss: int = 0
    phone_seen: float = 0.0


@dataclass(frozen=True, slots=True)
class StateChange(Flat):
    """A link's new state; published again after Redis was away.

    In the gateway's stream it is a hint that `account` has changed: any shard may write there. What is true stands in
    that account's own `Keys.state`.
    """

    account: str
    epoch: int
    instance: str
    reason: str
    since: float
    until: float = 0.0
    xmpp: int = 0
    paired: int = 0


@dataclass(frozen=True, slots=True)
class Happening(Flat):
    """Something that happened to an account, told by the control plane; what is empty did not.

    Words and opaque names of our own only.
    """

    time: float
    state: str = ""  # phase and reason, when they changed
    turned: str = ""  # conditions: "Ready=True Paired=True"
    started: int = 0  # the epoch of a shard
    ended: str = ""  # a shard's exit code, "unknown" when nobody saw it
    tier: str = ""  # the size that the scaler gave it
    deed: str = ""  # what somebody of the host did
    by: str = ""  # the name of their own account


@dataclass(frozen=True, slots=True)
class Command(Flat):
    """What a door asks of a shard: at least once, so every verb is idempotent; nothing happens after `deadline`."""

    id: str
    verb: str
    deadline: float
    argument: str = ""


class Verb:
    """The verbs of `Command`."""

    NEW_CODE: Final = "new_code"
    PAIR_PHONE: Final = "pair_phone"  # argument: bare digits; result: the code
    UNLINK: Final = "unlink"
    STATUS: Final = "status"
    ASKED: Final = "asked"  # result: `LiveCode` (JSON) of what WhatsApp asks, `expires` as seconds left; '' for nothing
    PASSKEY: Final = "passkey"  # argument: the browser's answer, JSON
    COMPARED: Final = "compared"  # argument: yes or no, whether the codes are the same; no also calls a request off
    LOGIN: Final = "login"  # to the front desk only; argument: JSON after `LoginMessage`
    CONFIRMED: Final = "confirmed"  # to the front desk only; argument: JSON after `LoginAsked`; result: yes, no or ''
    CHOOSE: Final = "choose"  # argument: JSON after `Choices`


@dataclass(frozen=True, slots=True)
class Choices(Flat):
    """What an owner lets contacts see (1 yes, 0 no); of two the one with the higher revision is newer."""

    revision: int = 0
    receipts: int = 1  # what the owner has read
    typing: int = 1  # that the owner is writing
    presence: int = 1  # that the owner is there


@dataclass(frozen=True, slots=True)
class LoginMessage(Flat):
    """What the portal has the front desk say to an owner: the one-time code of a login, in a language.

    With a `transaction` the owner is also asked to agree to it (XEP-0070); `url` is the page's.
    """

    to: str
    code: str
    language: str
    transaction: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class LoginAsked(Flat):
    """A login of which the portal wants to know whether its owner has agreed to it."""

    to: str
    transaction: str


@dataclass(frozen=True, slots=True)
class Result(Flat):
    """A shard's answer: `sentence` may be shown to the owner as it is."""

    id: str
    ok: int
    sentence: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class LiveCode(Flat):
    """The code that can be used now, or what WhatsApp asks instead; `kind` as whatsapp.port.CodeKind has it."""

    kind: str
    text: str
    number: int
    total: int
    expires: float
