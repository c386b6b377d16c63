"""What a login server says of somebody: which claims make an address and a role, and which make nobody."""

import pytest

from ponton_bridge.model.errors import Actor
from ponton_bridge.model.jid import prepare_bare
from ponton_operator.resources.oidc import Oidc
from ponton_operator.selfservice.claims import Identity, NoAddress, NotVerified, identify, lacks, names

MADE = "{preferred_username}@example.org"


def settings(jid: str = MADE, **more: object) -> Oidc:
    """Make settings with this way to an address."""
    told = {"issuer": "https://login.example.org", "client_id": "ponton", "jid": jid, **more}
    return Oidc.model_validate(told)


@pytest.mark.parametrize(
    ("jid", "claims", "owner"),
    [
        ("{xmpp}", {"xmpp": "alice@example.org"}, "alice@example.org"),
        ("{xmpp}", {"xmpp": "Alice@Example.ORG"}, "alice@example.org"),
        ("{xmpp}", {"xmpp": ["alice@example.org"]}, "alice@example.org"),
        (MADE, {"preferred_username": "Alice"}, "alice@example.org"),
        ("{a}.{b}@{c}", {"a": "x", "b": "y", "c": "example.net"}, "x.y@example.net"),
        ("{https://example.org/xmpp}", {"https://example.org/xmpp": "a@b.example"}, "a@b.example"),
        ("{more.xmpp}", {"more": {"xmpp": "a@b.example"}}, "a@b.example"),
        ("{more.xmpp}", {"more.xmpp": "a@b.example", "more": {"xmpp": "c@d.example"}}, "a@b.example"),
        ("{email}", {"email": "alice@example.org", "email_verified": True}, "alice@example.org"),
    ],
)
def test_makes_an_address_of_claims(jid: str, claims: dict[str, object], owner: str) -> None:
    """The claim as it is, or put into the address that the host has written."""
    assert Identity(owner) == identify(claims, settings(jid))


@pytest.mark.parametrize(
    "value",
    [
        None, "", 7, True, {}, [], ["a", "b"], [1], "bob@evil.example", "bob@example.org", "bob/admin", "admin@",
        "a b", "a\nb", "a\0b", "<b>", "a&b", "x" * 2000, "\N{FULLWIDTH COMMERCIAL AT}evil",
    ],
)  # fmt: skip
def test_what_makes_no_address_makes_nobody(value: object) -> None:
    """Missing, of another kind, more than one, with a border of its own, or with letters that no address has."""
    with pytest.raises(NoAddress) as raised:
        identify({"preferred_username": value}, settings())
    assert Actor.HOST is raised.value.actor
    assert "preferred_username" not in raised.value.sentence


@pytest.mark.parametrize(
    "name",
    [
        "ali\N{SOFT HYPHEN}ce",
        "al\N{ZERO WIDTH JOINER}ice",
        "\N{FULLWIDTH LATIN SMALL LETTER A}lice",
        "alice\N{SUPERSCRIPT ONE}",
        "\N{KELVIN SIGN}",
        "a\N{COMBINING DIAERESIS}",
    ],
)
def test_nobody_becomes_somebody_else_by_letters_that_look_alike(name: str) -> None:
    """A name that is another's as soon as it is prepared is refused, where a login by code would only reach them."""
    assert prepare_bare(f"{name}@example.org") != f"{name}@example.org"
    with pytest.raises(NoAddress):
        identify({"preferred_username": name}, settings())


@pytest.mark.parametrize("verified", [None, False, "true", 1, "false"])
def test_an_address_of_mail_has_to_be_verified(verified: object) -> None:
    """Whoever may write any mail address into their profile shall not become its owner here."""
    claims = {"email": "alice@example.org", "email_verified": verified}
    with pytest.raises(NotVerified) as raised:
        identify(claims, settings("{email}"))
    assert Actor.OWNER is raised.value.actor


@pytest.mark.parametrize(
    ("groups", "host"),
    [
        (["staff", "ponton-host"], True),
        ("ponton-host", True),
        (["staff"], False),
        (["Ponton-Host"], False),
        ("ponton-host,staff", False),
        ([["ponton-host"]], False),
        ({"ponton-host": True}, False),
        (None, False),
    ],
)
def test_a_group_makes_one_of_the_hosts_people(groups: object, host: bool) -> None:  # noqa: FBT001  # a row
    """Exactly as it is written, in a list or alone; nothing else counts."""
    told = settings(hostGroups=["ponton-host"])
    assert host is identify({"preferred_username": "a", "groups": groups}, told).host


def test_groups_have_a_claim_of_the_hosts_choice_and_no_effect_without_it() -> None:
    """A path leads to it; without groups in the settings nobody is the host's by what a server says."""
    claims = {"preferred_username": "a", "realm_access": {"roles": ["boss"]}, "groups": ["boss"]}
    assert identify(claims, settings(groupsClaim="realm_access.roles", hostGroups=["boss"])).host
    assert not identify(claims, settings()).host


def test_only_so_many_groups_are_looked_at() -> None:
    """A claim without end costs nothing."""
    told = settings(hostGroups=["boss"])
    assert not identify({"preferred_username": "a", "groups": ["x"] * 5000 + ["boss"]}, told).host


def test_knows_which_claims_it_needs() -> None:
    """More is asked for only where one of them is not there."""
    told = settings("{email}", hostGroups=["boss"])
    assert {"email", "email_verified", "groups"} == names(told)
    assert lacks({"email": "a@b.example", "email_verified": True}, told)
    assert not lacks({"email": "a@b.example", "email_verified": True, "groups": []}, told)
    assert {"preferred_username"} == names(settings())
