"""The seam between the sandbox's two halves: the network (WhatsApp's servers) and the handsets (device 0).

A handset speaks stanzas like every linked device, only without a wire: the network routes what it submits exactly
as if it had come from a socket, and hands it what a socket would have carried. `router.Router` implements
`Network`, `phones.Phone` implements `Handset`; neither imports the other.
"""

from dataclasses import dataclass
from typing import Protocol

from tests.sandbox.node import JID, Node


class PairingRefused(Exception):
    """The phone does not accept what the companion proves (wrong code, wrong identity); the owner has to act."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a sender needs to open a Signal session with a device; keys are 32 bytes without the type byte 05.

    `prekey` is the one-time key of number `prekey_id`, handed out once; both are None when none was left.
    `device_identity` is the signed ADVSignedDeviceIdentity of a companion, None for a phone.
    """

    registration: int
    identity: bytes
    signed_id: int
    signed_key: bytes
    signature: bytes
    prekey_id: int | None = None
    prekey: bytes | None = None
    device_identity: bytes | None = None


class PendingLink(Protocol):
    """A connection that waits to be linked, as far as a phone may know it."""

    @property
    def noise_public(self) -> bytes:
        """The companion's Noise key, 32 bytes: the second field of the code."""

    @property
    def identity_public(self) -> bytes:
        """The companion's Signal identity, 32 bytes: the third field of the code."""


class PendingCode(PendingLink, Protocol):
    """A companion that asked to be linked by an eight-letter code."""

    @property
    def ref(self) -> bytes:
        """The server's reference of this attempt."""

    @property
    def wrapped_companion_ephemeral(self) -> bytes:
        """Salt 32, iv 16 and the companion's ephemeral key 32 under the code (80 bytes)."""


class Account(Protocol):
    """One number: what the network and its handset share."""

    @property
    def pn(self) -> JID:
        """The address by phone number, device 0."""

    @property
    def lid(self) -> JID:
        """The address by opaque id, device 0."""

    push_name: str


class Handset(Protocol):
    """Device 0 of an account. Every call returns at once and never raises, except where it says so."""

    def receive(self, stanza: Node) -> None:
        """Take a stanza addressed to device 0, in order, as a linked device would get it."""

    def bundle(self) -> Bundle:
        """A key bundle with a fresh one-time key at each call, so there is nothing to refill."""

    def companion_linked(self, device: int) -> None:
        """A companion returned a verified device identity."""

    def companion_refused(self, reason: str) -> None:
        """Linking ended without a companion: an error of its own (`hmac-mismatch`) or a lost connection."""

    def companion_active(self, device: int, *, first: bool) -> None:
        """A companion said `<active/>`; `first` means for the first time since it was linked."""

    def companion_gone(self, device: int, reason: str) -> None:
        """A companion logged out or was removed."""

    def finish_code(self, pending: PendingCode, wrapped_bundle: bytes, companion_identity: bytes) -> bytes:
        """Check companion_finish and return the ADV container for pair-success; raises PairingRefused."""

    def passkey_prologue(self, payload: bytes, proof: bytes) -> bytes:
        """Take a companion's commitment behind a passkey's answer; gives the phone's ephemeral identity.

        `proof` (may be empty) is of who showed the code that was scanned. Raises PairingRefused, as the next two do.
        """

    def passkey_nonce(self, nonce: bytes) -> None:
        """Take the nonce that the companion committed to; the phone shows its owner a code now."""

    def passkey_request(self, request: bytes) -> bytes:
        """Take what the companion sends once the codes were compared; gives the container for pair-success."""

    def app_state_changed(self, collection: str, version: int, patch: bytes) -> None:
        """A companion's patch of a collection was stored under this version."""


class Network(Protocol):
    """What a handset may ask of WhatsApp's servers. Every call is synchronous and on the loop."""

    def now(self) -> float:
        """The server's clock, Unix seconds."""

    def submit(self, sender: JID, stanza: Node) -> None:
        """Route a stanza of device 0; `sender` is its LID. Acknowledgements come by `Handset.receive`."""

    def bundle(self, device: JID) -> Bundle | None:
        """The key bundle of any device (LID or PN, with device number), or None if it is unknown."""

    def devices(self, user: JID) -> list[int]:
        """The device numbers of an account, 0 included; empty if it is unknown."""

    def lid(self, user: JID) -> JID | None:
        """The bare LID behind a PN or LID of any device."""

    def pn(self, user: JID) -> JID | None:
        """The bare PN behind a PN or LID of any device."""

    def pending_qr(self, ref: str) -> PendingLink | None:
        """The connection that shows this reference in its QR code now."""

    def pending_code(self, account: Account) -> PendingCode | None:
        """The newest unfinished attempt to link this account by code."""

    def next_device(self, account: Account) -> int:
        """The number (and key index) that the next companion of the account will get."""

    def link(self, pending: PendingLink, account: Account, device: int, container: bytes) -> None:
        """Send pair-success with this ADV container; the outcome comes by `Handset.companion_*`."""

    def primary_hello(self, pending: PendingCode, wrapped_primary: bytes, primary_identity: bytes) -> None:
        """Send the phone's half of the code exchange to the companion."""

    def unlink(self, account: Account, device: int) -> None:
        """Remove a companion: it is told `device_removed` and forgotten."""

    def app_state_patch(
        self, account: Account, collection: str, base_version: int, patch: bytes, by: int
    ) -> int | None:
        """Append a patch of device `by` and announce it; the new version, or None where the base is old."""
