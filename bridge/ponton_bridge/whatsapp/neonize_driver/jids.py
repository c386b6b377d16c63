"""WhatsApp's JIDs as neonize writes them, and our addresses, both ways. Pure."""

from typing import Final

from google.protobuf.message import Message

from ponton_bridge.model.address import Address

from . import protos

NUMBER_SERVERS: Final = frozenset({"s.whatsapp.net", "c.us", "hosted"})
LID_SERVERS: Final = frozenset({"lid", "hosted.lid", "bot"})
GROUP_SERVER: Final = "g.us"
BROADCAST_SERVER: Final = "broadcast"
CHANNEL_SERVER: Final = "newsletter"


def address(jid: Message, alternative: Message | None = None) -> Address | None:
    """Give the address of a person or group, device left out; None for what is neither (broadcasts, channels).

    `alternative` is the same person under the other kind of address, as message events carry it.
    """
    server, user = protos.string(jid, "Server"), protos.string(jid, "User")
    if not user.replace("-", "").isascii() or not user.replace("-", "").isdecimal():
        return None
    if server == GROUP_SERVER:
        return Address(group=user)
    number = user if server in NUMBER_SERVERS else None
    lid = user if server in LID_SERVERS else None
    if number is None and lid is None:
        return None
    other = None if alternative is None else address(alternative)
    if other is not None:
        number, lid = number or other.number, lid or other.lid
    return Address(number=number, lid=lid)


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
