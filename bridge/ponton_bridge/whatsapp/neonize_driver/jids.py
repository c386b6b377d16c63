"""WhatsApp's JIDs as neonize writes them, and our addresses, both ways. Pure."""

from google.protobuf.message import Message

from ponton_bridge.model.address import Address
from ponton_bridge.whatsapp import jids
from ponton_bridge.whatsapp.jids import GROUP_SERVER

from . import protos


def address(jid: Message, alternative: Message | None = None) -> Address | None:
    """Give the address of a person or group; `alternative` is the same person under the other kind of address."""
    other = None if alternative is None else address(alternative)
    return jids.address(protos.string(jid, "User"), protos.string(jid, "Server"), other)


def jid(who: Address) -> Message:
    """Give the JID to speak to: the LID where it is known, since WhatsApp addresses by LID."""
    user, server = (who.lid, "lid") if who.lid else (who.number, "s.whatsapp.net")
    if who.group:
        user, server = who.group, GROUP_SERVER
    return protos.neonize("JID", User=user, RawAgent=0, Device=0, Integrator=0, Server=server, IsEmpty=False)


def number_jid(who: Address) -> Message:
    """Give the JID by number."""
    return jid(Address(number=who.number))


def text(who: Address) -> str:
    """Write the JID as WhatsApp writes it inside messages."""
    return who.key
