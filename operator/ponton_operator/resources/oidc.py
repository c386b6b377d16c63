"""A login server of the host (OpenID Connect), as a part of the portal's settings.

Read by the portal alone; how claims become an owner is said in `selfservice.claims`.
"""

from typing import Annotated, Final

from pydantic import Field

from ponton_operator.resources.base import Flag, K8s, SecretRef
from ponton_operator.resources.rules import shape

_MAX_URL: Final = 512  # characters
_MAX_WORD: Final = 256  # characters of a client id, a template, a claim's or a group's name
_CLAIM: Final = "[-_A-Za-z0-9.:/]+"  # names of claims: words, paths with dots, and URLs as some servers make them
_PLAIN: Final = "[^{}\\x00-\\x20\\x7f]"

Word = Annotated[
    str,
    Field(max_length=_MAX_WORD),
    shape("^[\\x21-\\x7e]+$", "write it in ASCII without spaces, exactly as the login server has it"),
]
Scope = Annotated[
    str,
    Field(max_length=64),
    shape("^[\\x21\\x23-\\x5b\\x5d-\\x7e]+$", "write the name of a scope, like profile"),
]
Group = Annotated[str, Field(max_length=_MAX_WORD), shape("^.+$", "write the name of a group")]


class Oidc(K8s):
    """A login server of the host, asked by authorization code and PKCE."""

    issuer: Annotated[
        str,
        Field(max_length=_MAX_URL),
        shape(
            r"^(https://[-_A-Za-z0-9.:\[\]]+|http://(localhost|127\.0\.0\.1)(:[0-9]+)?)(/[-_A-Za-z0-9.~%]+)*/?$",
            "write the issuer exactly as the login server names itself, like https://login.example.org/realms/main; "
            "http is for localhost only",
        ),
    ]
    """The server's name for itself; below it is /.well-known/openid-configuration."""
    client_id: Word
    """What the portal is called at the login server."""
    client_secret_ref: SecretRef | None = None
    """The secret that goes with it; without one the portal is a public client."""
    ca_ref: SecretRef | None = None
    """The authority to trust (PEM) for the server's URLs. Default: those of the system."""
    private_network: Flag = False
    """Whether the server may be at an address that is not public, as 10.0.0.0/8 or loopback."""
    jid: Annotated[
        str,
        Field(max_length=_MAX_WORD),
        shape(
            f"^{_PLAIN}*([{{]{_CLAIM}[}}]{_PLAIN}*)+$",
            "write the name of the claim that holds the XMPP address, in braces, "
            "or an address in which such a name stands for a part",
        ),
    ]
    """The bare JID of who logs in, with claims in braces: {xmpp} or {preferred_username}@example.org.

    One that is made of {email} needs the claim email_verified.
    """
    scopes: Annotated[tuple[Scope, ...], Field(max_length=16)] = ("profile",)
    """What is asked for beside openid."""
    groups_claim: Annotated[
        str,
        Field(max_length=_MAX_WORD),
        shape(f"^{_CLAIM}$", "write the name of a claim, like groups, or its path, like realm_access.roles"),
    ] = "groups"
    """The claim with the groups of who logs in."""
    host_groups: Annotated[tuple[Group, ...], Field(max_length=100)] = ()
    """Groups whose members are the host's own people, as those in `hosts` are."""
    title: Annotated[str, Field(max_length=60)] = ""
    """What the button on the login page calls it. Default: the issuer's host."""
