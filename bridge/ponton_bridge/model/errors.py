"""Errors typed by who must act. Raised everywhere; turned into words by the doors and the shard.

The message of such an error is a sentence that may be shown to the owner as it is. It never holds
a secret, and what is logged about it is its class name, never its text.
"""

from enum import StrEnum


class Actor(StrEnum):
    """Who has to do something before this can work."""

    OWNER = "owner"
    HOST = "host"
    PONTON = "ponton"
    WHATSAPP = "whatsapp"


class PontonError(Exception):
    """Something went wrong; `actor` says who can mend it, `condition` is the XMPP stanza error (RFC 6120, 8.3.3)."""

    actor: Actor = Actor.PONTON
    condition: str = "internal-server-error"
    kind: str = "cancel"  # the stanza error's type: auth, cancel, continue, modify, wait

    @property
    def sentence(self) -> str:
        """What the owner is told."""
        return str(self) or "Something went wrong in the bridge. The host can see it in the log."


class OwnerError(PontonError):
    """The owner asked for something that cannot be done as asked."""

    actor = Actor.OWNER
    condition = "bad-request"
    kind = "modify"


class HostError(PontonError):
    """The host has to change a setting or bring a service back."""

    actor = Actor.HOST
    condition = "service-unavailable"
    kind = "wait"


class WhatsAppError(PontonError):
    """WhatsApp refused or did not answer."""

    actor = Actor.WHATSAPP
    condition = "remote-server-timeout"
    kind = "wait"
