"""A peer device's sessions: X3DH on both sides, the current session and the archived ones.

whatsmeow starts another session with each bundle it is given and may write in any of them for a while, so a
reader tries all and puts the one that worked in front; nothing is ever deleted on an error (measured: deleting
turns one retry into dozens). Called by `device`.
"""

from dataclasses import dataclass, field

from tests.sandbox.keys import KeyPair
from tests.sandbox.signal.errors import InvalidMessage, NoSession, RepeatedCounter, SignalError
from tests.sandbox.signal.kdf import Random, agree, first_keys, generate, ratchet_step
from tests.sandbox.signal.ratchet import Chain, Opening, Ratchet, ReceivingChain
from tests.sandbox.signal.wire import FirstMessage, RatchetMessage

MAX_ARCHIVED = 40  # sessions kept behind the current one; with 10 a fast chat lost messages (measured)


def initiate(
    identity: KeyPair,
    peer: bytes,
    signed_key: bytes,
    prekey: bytes | None,
    opening: Opening,
    random: Random,
) -> Ratchet:
    """X3DH as the one who writes first (Signal's "Alice"), towards the keys of a bundle."""
    base = generate(random)
    secrets = (
        agree(identity, signed_key)
        + agree(base, peer)
        + agree(base, signed_key)
        + (agree(base, prekey) if prekey is not None else b"")
    )
    root, chain = first_keys(secrets)
    own = generate(random)
    root, sending = ratchet_step(root, agree(own, signed_key))
    return Ratchet(
        identity=identity.public,
        peer=peer,
        base=base.public,
        root=root,
        own=own,
        sending=Chain(sending),
        receiving=[ReceivingChain(signed_key, chain)],
        opening=opening,
    )


def respond(identity: KeyPair, signed: KeyPair, prekey: KeyPair | None, first: FirstMessage) -> Ratchet:
    """X3DH as the one whose bundle was used ("Bob"); the first message then steps the ratchet."""
    secrets = (
        agree(signed, first.identity)
        + agree(identity, first.base)
        + agree(signed, first.base)
        + (agree(prekey, first.base) if prekey is not None else b"")
    )
    root, chain = first_keys(secrets)
    return Ratchet(
        identity=identity.public,
        peer=first.identity,
        base=first.base,
        root=root,
        own=signed,
        sending=Chain(chain),
    )


@dataclass(slots=True)
class Session:
    """All ratchets with one peer device, the current one first."""

    ratchets: list[Ratchet] = field(default_factory=list)

    @property
    def current(self) -> Ratchet:
        """The ratchet to write in; raises NoSession."""
        if not self.ratchets:
            raise NoSession("no session with this device")
        return self.ratchets[0]

    def of_base(self, first: FirstMessage) -> Ratchet | None:
        """The ratchet that this first message belongs to, if it was opened before."""
        return next((r for r in self.ratchets if r.base == first.base and r.peer == first.identity), None)

    def promote(self, ratchet: Ratchet) -> None:
        """Make a ratchet the current one; the others move back, the oldest beyond the archive goes."""
        if self.ratchets and self.ratchets[0] is ratchet:
            return
        rest = [r for r in self.ratchets if r is not ratchet]
        self.ratchets = [ratchet, *rest][: MAX_ARCHIVED + 1]

    def open(self, message: RatchetMessage, random: Random) -> bytes:
        """The plaintext of a `msg`, from whichever ratchet can read it.

        Raises NoSession without any, RepeatedCounter if one of them used that key before, else InvalidMessage or
        TooFarAhead.
        """
        failure: SignalError = NoSession("no session with this device")
        # A ratchet that has seen the key needs no key agreement: those first, so that spoiled bytes stay cheap.
        for ratchet in sorted(self.ratchets, key=lambda r: not r.knows(message.ratchet)):
            try:
                plain = ratchet.open(message, random)
            except InvalidMessage as error:
                failure = failure if isinstance(failure, RepeatedCounter) else error
            except SignalError as error:
                failure = error
            else:
                self.promote(ratchet)
                return plain
        raise failure
