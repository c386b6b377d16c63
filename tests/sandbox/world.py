"""The state of the box: accounts, their phones and linked devices, and a trace of what went over the wires.

Everything is in memory and synchronous. The `router` changes it on behalf of clients and phones, the `server`
attaches sessions to devices, the control API reads and scripts it. A contact is an account like any other,
usually one without linked devices.
"""

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from tests.sandbox.contract import Bundle, Handset
from tests.sandbox.keys import OneTimeKeys, SignedPrekey
from tests.sandbox.node import JID, LID, SERVER, Node
from tests.sandbox.outbox import Outbox
from tests.sandbox.passkeys import Passkey

TRACE_LENGTH = 5000  # stanzas remembered for tests and the control API, over all accounts
TRACE_WIDTH = 100  # children of one element in a remembered stanza; an upload of 812 prekeys weighs a megabyte


class Session(Protocol):
    """A logged-in connection of a linked device, as the router sees it."""

    def send(self, stanza: Node, delay: float = 0) -> None:
        """Write a stanza behind all earlier ones, not before `delay` seconds have passed."""

    def end(self, stanza: Node | None = None, linger: float | None = None) -> None:
        """Write a last stanza and close `linger` seconds later, or without one cut at once; nothing more is read."""

    def freeze(self) -> None:
        """Read and write nothing from now on, and leave the connection open."""

    def thaw(self) -> None:
        """Go on after `freeze` with what has piled up."""


@dataclass(slots=True)
class Collection:
    """One app-state collection: patches as the clients wrote them, `version` being that of the last one."""

    version: int = 0
    patches: list[bytes] = field(default_factory=list)  # serialized SyncdPatch; entry i has version i + 1


class Picture(NamedTuple):
    """A profile picture: the id that changes with it, and the JPEG."""

    id: str
    jpeg: bytes


@dataclass(slots=True, eq=False)
class Device:
    """A linked device (number 1 and up) of an account; the phone is `Account.phone`, not one of these."""

    account: "Account"
    number: int
    key_index: int
    noise: bytes  # public key of its transport; a login must prove it
    identity: bytes  # public Signal identity key, without the type byte
    registration: int
    signed: SignedPrekey
    device_identity: bytes = b""  # serialized ADVSignedDeviceIdentity with both signatures and the account key
    prekeys: OneTimeKeys = field(default_factory=OneTimeKeys)
    session: Session | None = None
    active: bool = False  # asked for its stanzas since it logged in
    available: bool = False  # announced itself as online
    logins: int = 0  # times it became active
    outbox: Outbox = field(default_factory=Outbox)
    counts: Counter[str] = field(default_factory=Counter)  # what happened to its stanzas, by the router's words

    @property
    def lid(self) -> JID:
        """Its address by LID."""
        return self.account.lid.of_device(self.number)

    @property
    def pn(self) -> JID:
        """Its address by phone number."""
        return self.account.pn.of_device(self.number)

    def bundle(self) -> Bundle:
        """Hand out its key bundle, using up a one-time key while there are any."""
        one_time = self.prekeys.take()
        return Bundle(
            registration=self.registration,
            identity=self.identity,
            signed_id=self.signed.id,
            signed_key=self.signed.public,
            signature=self.signed.signature,
            prekey_id=one_time.id if one_time else None,
            prekey=one_time.public if one_time else None,
            device_identity=self.device_identity or None,
        )


@dataclass(slots=True, eq=False)
class Account:
    """A WhatsApp user: the address pair, the phone (device 0), the linked devices and what others see."""

    pn: JID
    lid: JID
    push_name: str = ""
    phone: Handset | None = None  # holds the account's key pair; an account without one takes nothing as device 0
    devices: dict[int, Device] = field(default_factory=dict)
    next_device: int = 1
    about: str = ""
    picture: Picture | None = None
    privacy: dict[str, str] = field(default_factory=dict)  # only what differs from WhatsApp's defaults
    blocked: set[JID] = field(default_factory=set)
    passkey: Passkey | None = None  # what linking a companion demands
    collections: dict[str, Collection] = field(default_factory=dict)
    available: bool = False  # the phone announced itself as online
    last_seen: int | None = None  # Unix seconds
    device_watchers: set[JID] = field(default_factory=set)  # LIDs with device that asked for the device list
    presence_watchers: set[JID] = field(default_factory=set)  # LIDs with device that subscribed
    counts: Counter[str] = field(default_factory=Counter)  # over all its devices, also those that are gone

    @property
    def online(self) -> bool:
        """Whether any device of the account says that its user is there."""
        return self.available or any(device.available for device in self.devices.values())


class Sender(NamedTuple):
    """The device that wrote a stanza: an account and a device number, 0 being the phone."""

    account: Account
    number: int

    @property
    def device(self) -> Device | None:
        """The linked device; None for the phone."""
        return self.account.devices.get(self.number)

    @property
    def lid(self) -> JID:
        """Its address by LID."""
        return self.account.lid.of_device(self.number)

    @property
    def pn(self) -> JID:
        """Its address by phone number."""
        return self.account.pn.of_device(self.number)

    @property
    def names(self) -> tuple[JID, JID]:
        """Both addresses."""
        return self.lid, self.pn


@dataclass(slots=True)
class Settings:
    """How the server behaves where the real one could differ or a fast test wants it to."""

    qr_refs: int = 6  # codes offered per connection; the client shows the first 60 s, each other one 20 s
    fresh_count: int | None = None  # prekey count told to a device without keys; 100 makes it upload 50, not 812
    linger: float = 0.12  # seconds between a last stanza and the close; less loses the stanza
    restart_linger: float = 2.0  # the same after `515`, where the client closes first


def outline(stanza: Node) -> Node:
    """The stanza as it is remembered: lists of more elements than anybody reads are left out (key uploads)."""
    if all(len(child.children) <= TRACE_WIDTH for child in stanza.children):
        return stanza
    kept = [c if len(c.children) <= TRACE_WIDTH else Node(c.tag, c.attrs) for c in stanza.children]
    return Node(stanza.tag, stanza.attrs, list(kept))


class Trace(NamedTuple):
    """One thing that happened: `event` is a past-tense word, `who` the device or account it happened to."""

    at: float
    event: str
    who: JID | None
    stanza: Node | None


@dataclass(slots=True, eq=False)
class World:
    """All accounts, found by either address. Clock and randomness are arguments, so that a test can fix them."""

    settings: Settings = field(default_factory=Settings)
    now: Callable[[], float] = time.time
    entropy: Callable[[int], bytes] = os.urandom
    trace: deque[Trace] = field(default_factory=lambda: deque(maxlen=TRACE_LENGTH))
    listeners: list[Callable[[Trace], None]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # over all devices
    unimplemented: Counter[str] = field(default_factory=Counter)  # queries nobody answers, by xmlns and tag
    _accounts: dict[JID, Account] = field(default_factory=dict)

    def add_account(self, number: str, lid: str = "", push_name: str = "") -> Account:
        """Make an account; raises ValueError if the number or the LID is taken.

        `number` is E.164 digits without plus; without `lid` one is derived from the number.
        """
        pn, lid_jid = JID(number, SERVER), JID(lid or f"9{number[::-1]}0", LID)
        if pn in self._accounts or lid_jid in self._accounts:
            raise ValueError("this number or LID is taken")
        account = Account(pn, lid_jid, push_name)
        self._accounts[pn] = self._accounts[lid_jid] = account
        return account

    def remove_account(self, account: Account) -> None:
        """Forget an account that has no sessions (end those first)."""
        del self._accounts[account.pn], self._accounts[account.lid]

    def account(self, jid: JID) -> Account | None:
        """The account behind an address of either kind, with or without device."""
        return self._accounts.get(jid.bare)

    def device(self, jid: JID) -> Device | None:
        """The linked device behind an address; None for device 0 and for unknown ones."""
        account = self.account(jid)
        return None if account is None else account.devices.get(jid.device)

    def accounts(self) -> Iterator[Account]:
        """Every account once."""
        return (account for jid, account in self._accounts.items() if jid.server == SERVER)

    def bundle(self, jid: JID) -> Bundle | None:
        """Take a key bundle of one device (0 is the phone); None if the device is unknown or has no keys."""
        account = self.account(jid)
        if account is None:
            return None
        if jid.device == 0:
            return None if account.phone is None else account.phone.bundle()
        device = account.devices.get(jid.device)
        return None if device is None else device.bundle()

    def record(self, event: str, who: JID | Device | None = None, stanza: Node | None = None) -> None:
        """Count and remember that something happened, and tell the listeners."""
        self.counts[event] += 1
        if isinstance(who, Device):
            who.counts[event] += 1
            who.account.counts[event] += 1
            who = who.lid
        entry = Trace(self.now(), event, who, stanza and outline(stanza))
        self.trace.append(entry)
        for listener in self.listeners:
            listener(entry)
