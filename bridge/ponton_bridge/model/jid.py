"""Owner JIDs, prepared as Prosody 0.12 prepares them (nodeprep, nameprep: RFC 6122 appendix A, RFC 3491).

Doors store the prepared form, shard secrets are derived from it, the Prosody module compares it.
Called by doors, plans, the local runtime and the shard's configuration.
"""

import re
import stringprep
import unicodedata

from ponton_bridge.model.errors import OwnerError

MAX_PART = 1023  # bytes of a JID part, RFC 6122 section 2.1
_FORBIDDEN_IN_NODE = frozenset("\"&'/:<>@")  # RFC 6122 appendix A.5
_LABEL = re.compile(r"^(?!-)[a-z0-9-]{1,63}(?<!-)$")  # one ASCII label of a host name, RFC 1123
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
    """Map, normalise and check by tables B.1, B.2, NFKC and C (RFC 3454); `what` names the part in the error."""
    mapped = "".join(stringprep.map_table_b2(c) for c in text if not stringprep.in_table_b1(c))
    done = unicodedata.normalize("NFKC", mapped)
    if any(check(c) for c in done for check in _PROHIBITED):
        raise OwnerError(f"The {what} of this address holds a character that is not allowed there.")
    if any(map(stringprep.in_table_d1, done)) and (
        any(map(stringprep.in_table_d2, done))
        or not (stringprep.in_table_d1(done[0]) and stringprep.in_table_d1(done[-1]))
    ):
        raise OwnerError(f"The {what} of this address mixes writing directions.")
    return done


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
    host = ".".join(_prepare_label(label) for label in host.rstrip(".").split("."))
    if not local or _FORBIDDEN_IN_NODE & set(local):
        raise OwnerError("The name of this address holds a character that is not allowed there.")
    if max(len(local.encode()), len(host.encode())) > MAX_PART:
        raise OwnerError("This address is too long.")
    return f"{local}@{host}"


def _prepare_label(label: str) -> str:
    done = _prepare(label, "server")
    try:
        ascii_form = done.encode("idna").decode()
    except UnicodeError:
        ascii_form = ""
    if not _LABEL.match(ascii_form):
        raise OwnerError("The server of this address is not a host name.")
    return done


def host_of(bare: str) -> str:
    """Give the host of a bare JID."""
    return bare.rpartition("@")[2]
