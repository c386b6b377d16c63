"""Owner JIDs: what is one, and what the owner hears when it is none."""

import pytest

from ponton_bridge.model.errors import Actor, OwnerError
from ponton_bridge.model.jid import host_of, prepare_bare


@pytest.mark.parametrize(
    ("jid", "expected"),
    [
        ("alice@example.org", "alice@example.org"),
        ("ALICE@localhost", "alice@localhost"),
        ("alice@sub-domain.example.org", "alice@sub-domain.example.org"),
        ("o\\27brien@example.org", "o\\27brien@example.org"),
        ("\u03a3@example.org", "\u03c3@example.org"),
    ],
)
def test_prepares(jid: str, expected: str) -> None:
    """Owners get one form, however they write their address."""
    assert expected == prepare_bare(jid)


@pytest.mark.parametrize(
    "jid",
    [
        "", "alice", "@example.org", "alice@", "example.org", "alice@example.org/phone", "a@b@c", "al/ice@example.org",
        'al"ice@example.org', "al&ice@example.org", "al'ice@example.org", "al:ice@example.org", "al<ice@example.org",
        "alice@exa mple.org", "alice@-example.org", "alice@example-.org", "alice@exam_ple.org", "alice@.org",
        "alice@example..org", "alice@.", "\u00ad@example.org", f"{'a' * 1024}@example.org", f"alice@{'a' * 64}.org",
        f"alice@{'a.' * 512}org", "alice@example.org\n", "ali\u200ece@example.org", "\ufeff@example.org",
    ],
)  # fmt: skip
def test_refuses(jid: str) -> None:
    """What is no bare JID of a user is refused with a sentence for the owner."""
    with pytest.raises(OwnerError) as caught:
        prepare_bare(jid)
    assert Actor.OWNER is caught.value.actor
    assert caught.value.sentence.endswith(".")


def test_is_idempotent_on_surprises() -> None:
    """Prepared once is prepared: the form of a form is itself."""
    for jid in ("\u1e9e\u0130@example.org", "\u2122@example.org", "\ufb01x@example.org"):
        assert prepare_bare(jid) == prepare_bare(prepare_bare(jid))


def test_host() -> None:
    """The host is what follows the at sign."""
    assert "example.org" == host_of("alice@example.org")
