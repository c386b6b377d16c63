"""Owner JIDs, prepared as Prosody 0.12 prepares them (nodeprep, nameprep: RFC 6122 appendix A, RFC 3491).

Doors store the prepared form, shard secrets are derived from it, the Prosody module compares it. Tested against
Prosody's own library: what both accept has the same form. We refuse more, namely hosts that are no host names.
Called by doors, plans, the local runtime and the shard's configuration.
"""

import re
import stringprep
from itertools import groupby
from unicodedata import bidirectional
from unicodedata import ucd_3_2_0 as unicode_of_stringprep  # RFC 3454, section 7

from ponton_bridge.model.errors import OwnerError

MAX_PART = 1023  # bytes of a JID part, RFC 6122 section 2.1
_FORBIDDEN_IN_NODE = frozenset("\"&'/:<>@")  # RFC 6122 appendix A.5
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")  # one ASCII label of a host name, RFC 1123
_RIGHT_TO_LEFT = frozenset({"R", "AL"})
_PROHIBITED = (
    stringprep.in_table_c11_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def _prepare(text: str, what: str) -> str:
    """Map, normalise and check by tables B.1, B.2, NFKC and C (RFC 3454); `what` names the part in the error.

    Code points that Unicode 3.2 does not know are neither mapped nor refused, as Prosody does (a "query" string).
    """
    mapped = "".join(map(_mapped, text))
    runs = ((unknown, "".join(run)) for unknown, run in groupby(mapped, stringprep.in_table_a1))
    done = "".join(run if unknown else unicode_of_stringprep.normalize("NFKC", run) for unknown, run in runs)
    if any(check(c) for c in done for check in _PROHIBITED):
        raise OwnerError(f"The {what} of this address holds a character that is not allowed there.")
    ways = [bidirectional(c) for c in done]  # of today's Unicode, as the library that Prosody uses (ICU) has it
    if not _RIGHT_TO_LEFT.isdisjoint(ways) and ("L" in ways or not {ways[0], ways[-1]} <= _RIGHT_TO_LEFT):
        raise OwnerError(f"The {what} of this address mixes writing directions.")
    return done


def _mapped(character: str) -> str:
    """Map by tables B.1 and B.2; Python lower-cases by the newest Unicode, which 3.2 did not do for some letters."""
    if stringprep.in_table_b1(character):
        return ""
    mapped = stringprep.map_table_b2(character)
    return character if any(map(stringprep.in_table_a1, character + mapped)) else mapped


def prepare_bare(jid: str) -> str:
    """Give the prepared bare JID `local@host` of an XMPP user.

    >>> prepare_bare("Alice@Example.ORG")
    'alice@example.org'

    Raises OwnerError when it is no bare JID of a user (no localpart, a resource, a forbidden character).
    """
    local, at, host = jid.partition("@")
    if not at or not local or not host or "/" in jid:
        raise OwnerError("This is not the address of an XMPP account: it should look like name@server.")
    local = _prepare(local, "name")
    host = _prepare(host.removesuffix("."), "server")
    for label in host.split("."):
        _check_label(label)
    if not local or _FORBIDDEN_IN_NODE & set(local):
        raise OwnerError("The name of this address holds a character that is not allowed there.")
    if max(len(local.encode()), len(host.encode())) > MAX_PART:
        raise OwnerError("This address is too long.")
    return f"{local}@{host}"


def _check_label(label: str) -> None:
    try:
        ascii_form = label.encode("idna").decode()
    except UnicodeError:
        ascii_form = ""
    if not _LABEL.fullmatch(ascii_form):
        raise OwnerError("The server of this address is not a host name.")


def host_of(bare: str) -> str:
    """Give the host of a bare JID."""
    return bare.rpartition("@")[2]
