"""WhatsApp's JIDs in their parts, as our addresses; for both drivers. Pure."""

from typing import Final

from ponton_bridge.model.address import Address

NUMBER_SERVERS: Final = frozenset({"s.whatsapp.net", "c.us", "hosted"})
LID_SERVERS: Final = frozenset({"lid", "hosted.lid", "bot"})
GROUP_SERVER: Final = "g.us"
BROADCAST_SERVER: Final = "broadcast"
CHANNEL_SERVER: Final = "newsletter"


def address(user: str, server: str, other: Address | None = None) -> Address | None:
    """Give the address of a person or group, device left out; None for what is neither (broadcasts, channels).

    `other` is the same person under the other kind of address, as events about messages carry it.
    """
    if not user.replace("-", "").isascii() or not user.replace("-", "").isdecimal():
        return None
    if server == GROUP_SERVER:
        return Address(group=user)
    number = user if server in NUMBER_SERVERS else None
    lid = user if server in LID_SERVERS else None
    if number is None and lid is None:
        return None
    if other is not None:
        number, lid = number or other.number, lid or other.lid
    return Address(number=number, lid=lid)
