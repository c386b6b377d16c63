"""The table of states, typed errors, stanza trees, and the examples in docstrings."""

import doctest
import importlib
import re

import pytest

from ponton_bridge.model import errors
from ponton_bridge.model.states import TABLE, Next, Phase, Reason
from ponton_bridge.model.xml import CLIENT, OOB, el, find, local_name, text_of

DOCUMENTED = (
    "ponton_bridge.model.address",
    "ponton_bridge.model.jid",
    "ponton_bridge.model.xml",
    "ponton_bridge.model.serial",
    "ponton_bridge.coordination.contract",
    "ponton_bridge.core.backoff",
    "ponton_bridge.core.lease",
    "ponton_bridge.core.limiter",
)


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples(name: str) -> None:
    """The examples in docstrings are true."""
    failed, tried = doctest.testmod(importlib.import_module(name))
    assert 0 == failed
    assert tried > 0


# ---- states -------------------------------------------------------------------------------------------------------


def test_every_reason_has_a_row() -> None:
    """There is no way for a link to be that has no words."""
    assert set(Reason) == set(TABLE)


@pytest.mark.parametrize("reason", Reason)
def test_sentences(reason: Reason) -> None:
    """Each is one or two plain sentences for the owner, without jargon and without a placeholder left over."""
    sentence = TABLE[reason].sentence
    assert re.fullmatch(r"[A-Z][^{}\n]*\.", sentence)
    assert len(sentence) <= 200
    assert not re.search(r"\b(epoch|pod|shard|socket|LID|stream|null|None)\b", sentence)


@pytest.mark.parametrize("reason", Reason)
def test_actions(reason: Reason) -> None:
    """Where the owner is to ask for a code, the sentence says the word to write; elsewhere it does not."""
    row = TABLE[reason]
    assert (row.next is Next.NEW_CODE) == ("Write 'code'" in row.sentence or "write 'code'" in row.sentence)
    assert (row.next is Next.OPEN_PHONE) == ("Open WhatsApp" in row.sentence)


@pytest.mark.parametrize("reason", Reason)
def test_shows(reason: Reason) -> None:
    """A link that works is shown as available, one that waits for somebody is not."""
    row = TABLE[reason]
    assert row.show in {None, "", "away", "dnd", "xa"}
    assert (row.phase is Phase.RUNNING) == (row.show == "")
    assert not (row.phase is Phase.PARKED and row.show != "xa")


# ---- errors -------------------------------------------------------------------------------------------------------


def test_errors_name_who_must_act() -> None:
    """Each kind says who can mend it, and is a stanza error that XMPP knows (RFC 6120, 8.3.2)."""
    kinds = (errors.PontonError, errors.OwnerError, errors.HostError, errors.WhatsAppError)
    assert [errors.Actor.PONTON, errors.Actor.OWNER, errors.Actor.HOST, errors.Actor.WHATSAPP] == [
        kind.actor for kind in kinds
    ]
    assert all(kind.kind in {"auth", "cancel", "continue", "modify", "wait"} for kind in kinds)


def test_an_error_without_words_has_some() -> None:
    """An error raised without a sentence still says something to the owner."""
    assert errors.HostError("Ask later.").sentence == "Ask later."
    assert errors.HostError().sentence.startswith("Something went wrong")


# ---- xml ----------------------------------------------------------------------------------------------------------


def test_builds_trees() -> None:
    """Names carry their namespace, texts are joined, attributes without value are left out."""
    node = el("message", CLIENT, el("x", OOB, el("url", OOB, "https://", "example.org")), to="a@b", id_="1", from_=None)
    assert f"{{{CLIENT}}}message" == node.tag
    assert {"to": "a@b", "id": "1"} == node.attrib
    inner = find(node, "x", OOB)
    assert inner is not None
    assert text_of(inner, "url", OOB) == "https://example.org"
    assert "message" == local_name(node)


def test_empty_and_missing_are_two() -> None:
    """A child that is empty is not a child that is missing."""
    node = el("message", CLIENT, el("body", CLIENT))
    assert text_of(node, "body", CLIENT) == ""
    assert text_of(node, "subject", CLIENT) is None
    assert find(node, "body", OOB) is None
