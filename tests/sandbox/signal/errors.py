"""What can go wrong with an encrypted message, typed by what the receiver does next.

Raised by `ratchet`, `session` and `device`; whoever raises one has changed nothing.
"""


class SignalError(Exception):
    """Base of everything that this package raises about a peer's bytes."""


class InvalidMessage(SignalError):
    """The bytes are no message, or their MAC belongs to no session: the peer must send again."""


class RepeatedCounter(SignalError):
    """The key of this counter is used up ("old counter"): a repeat, or a second message under one counter."""


class TooFarAhead(SignalError):
    """More messages than a receiver keeps keys for are missing before this one."""


class NoSession(SignalError):
    """There is no session with the device: a bundle is needed to write, a pkmsg to read."""


class UnknownPrekey(SignalError):
    """A first message names a prekey that we do not hold (any more): the peer needs a fresh bundle."""


class UntrustedBundle(SignalError):
    """The signature of a bundle's signed prekey is not its identity's."""
