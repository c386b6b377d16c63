"""What a login server says of somebody, turned into the owner that they are here. Pure; called by the pages' login.

Claims are the server's word, and some servers let people choose their own names: an address that is another's as soon
as it is prepared (look-alike letters, letters that cannot be seen) is refused, not mapped. What stands in claims is
never logged and never shown, but for the address in the end.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ponton_bridge.model.errors import HostError, OwnerError
from ponton_bridge.model.jid import prepare_bare
from ponton_operator.resources.account import MAX_OWNER
from ponton_operator.resources.oidc import Oidc
from ponton_operator.selfservice import words

MAX_GROUPS: Final = 2000  # groups that are looked at; directories of companies have some hundred for one person
_NAMES: Final = re.compile(r"[{]([^{}]*)[}]")

Claims = Mapping[str, object]


class NoAddress(HostError):
    """The claims hold no address that could be an owner's: settings here or there have to change."""


class NotVerified(OwnerError):
    """The address is made of an e-mail address that the login server has not verified."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is: a prepared bare JID, and whether their groups make them one of the host's people."""

    owner: str
    host: bool = False


def names(settings: Oidc) -> frozenset[str]:
    """Give the names of the claims that are needed.

    >>> sorted(names(Oidc(issuer="https://a.example", client_id="x", jid="{name}@example.org")))
    ['name']
    """
    needed = set(_NAMES.findall(settings.jid))
    needed |= {"email_verified"} if "email" in needed else set()
    return frozenset(needed | ({settings.groups_claim} if settings.host_groups else set()))


def lacks(claims: Claims, settings: Oidc) -> bool:
    """Tell whether a needed claim is not there, so that it is worth asking for more."""
    return any(find(claims, name) is None for name in names(settings))


def find(claims: Claims, name: str) -> object:
    """Give a claim by its name, or by its path: names with dots between them. None when there is none.

    >>> find({"realm_access": {"roles": ["a"]}}, "realm_access.roles")
    ['a']
    """
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def identify(claims: Claims, settings: Oidc) -> Identity:
    """Give who it is. Raises NoAddress, NotVerified."""
    needed = _NAMES.findall(settings.jid)
    if "email" in needed and find(claims, "email_verified") is not True:
        raise NotVerified(words.EMAIL_NOT_VERIFIED)
    whole = _NAMES.fullmatch(settings.jid) is not None
    values = {name: _text(find(claims, name)) for name in needed}
    if not all(values.values()):
        raise NoAddress(words.NO_ADDRESS)
    # A part that brings an '@' of its own would move the border between name and server.
    if not whole and any("@" in value for value in values.values()):
        raise NoAddress(words.ADDRESS_UNUSABLE)
    return Identity(_owner(_NAMES.sub(lambda name: values[name[1]], settings.jid)), _is_host(claims, settings))


def _owner(jid: str) -> str:
    if len(jid) > MAX_OWNER:
        raise NoAddress(words.ADDRESS_UNUSABLE)
    try:
        owner = prepare_bare(jid)
    except OwnerError:
        raise NoAddress(words.ADDRESS_UNUSABLE) from None
    if owner != "".join(character.lower() if character.isascii() else character for character in jid):
        raise NoAddress(words.ADDRESS_UNUSABLE)
    return owner


def _is_host(claims: Claims, settings: Oidc) -> bool:
    return not set(settings.host_groups).isdisjoint(_texts(find(claims, settings.groups_claim)))


def _text(value: object) -> str:
    """Give the one text of a claim; '' when it is something else. Directories make lists of single values, too."""
    found = list(_texts(value))
    return found[0] if len(found) == 1 else ""


def _texts(value: object) -> Iterator[str]:
    several = value[:MAX_GROUPS] if isinstance(value, list) else [value]
    return (each for each in several if isinstance(each, str))
