"""WhatsApp addresses and the JIDs that stand for them under the gateway's domain, in both directions.

A person has up to two addresses at WhatsApp: a phone number (PN) and a hidden id (LID). A contact with a
known number is `+<E.164>@<gateway>`; one known only by its LID is `lid-<digits>@<gateway>` until the number
is known. Groups are `<group id>@<gateway>`. Used by features, the journal and the drivers.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ponton_bridge.model.errors import OwnerError

_NUMBER = re.compile(r"[1-9][0-9]{4,14}")  # E.164: at most 15 digits, never a leading zero
_WRITTEN = re.compile(r"[\s().\u00a0\-/]")  # what people put between digits
_LID = re.compile(r"lid-([0-9]{1,20})")
_GROUP = re.compile(r"[0-9]{10,25}(-[0-9]{6,15})?")  # new ids: 18 digits; old ones: number-time
TRUNK = "(0)"  # +44 (0)7700 …: dialled inside the country only
MIN_GROUP_DIGITS = 16  # longer than any E.164 number, so that a localpart is never both

# The resource of the gateway's own presence, the same from front desk and shards: Gajim shows no presence of a bare
# domain (seen in 1.7.3), and two resources would stand side by side.
GATEWAY_RESOURCE: Final = "gateway"


class Kind(StrEnum):
    """What an address stands for."""

    USER = "user"
    GROUP = "group"


@dataclass(frozen=True, slots=True)
class Address:
    """Somebody (or a group) at WhatsApp, without device; all parts are bare digits (a group id may hold one dash)."""

    number: str | None = None
    lid: str | None = None
    group: str | None = None

    @property
    def kind(self) -> Kind:
        """Tell a group from a user."""
        return Kind.GROUP if self.group else Kind.USER

    @property
    def key(self) -> str:
        """The one textual form under which the journal knows it: LID first, since WhatsApp addresses by LID."""
        if self.group:
            return f"{self.group}@g.us"
        return f"{self.lid}@lid" if self.lid else f"{self.number}@s.whatsapp.net"

    def localpart(self) -> str:
        """Give the localpart of its JID under the gateway's domain."""
        if self.group:
            return self.group
        return f"+{self.number}" if self.number else f"lid-{self.lid}"


def parse_number(text: str) -> str:
    """Read a phone number as people write it in international form; gives bare digits.

    >>> parse_number("+44 (7700) 900-123")
    '447700900123'

    Raises OwnerError with a sentence when it is none.
    """
    digits = _WRITTEN.sub("", text.replace(TRUNK, ""))
    digits = digits[2:] if digits.startswith("00") else digits.removeprefix("+")
    if not _NUMBER.fullmatch(digits):
        raise OwnerError(
            "This is not a phone number in international form, for example +44 7700 900123: "
            "a plus sign, the country code, then the number without its leading zero."
        )
    return digits


def from_localpart(local: str) -> Address:
    """Read the localpart of a JID under the gateway's domain; a number without plus reaches the same contact.

    Raises OwnerError when it stands for nobody.
    """
    if match := _LID.fullmatch(local):
        return Address(lid=match[1])
    if local.startswith("+") or not _is_group(local):
        return Address(number=parse_number(local))
    return Address(group=local)


def _is_group(local: str) -> bool:
    return bool(_GROUP.fullmatch(local)) and ("-" in local or len(local) >= MIN_GROUP_DIGITS)
