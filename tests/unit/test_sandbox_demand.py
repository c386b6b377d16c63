"""The sandbox's passkey step between a companion and a phone: asked, answered, passed on, refused."""

import json
import os

import pytest

from tests.harness.authenticator import Authenticator
from tests.sandbox.demand import Demand
from tests.sandbox.node import Node, QueryError, node
from tests.sandbox.passkeys import Passkey, from_url_safe
from tests.unit.sandbox_net import Handset

KEY = Authenticator()


class Step:
    """A step that was begun; `notices` went to the companion, `linked` are containers."""

    def __init__(self, *, refuse: bool = False, silent: bool = False) -> None:
        self.phone, self.notices, self.linked = Handset(), list[tuple[str, Node]](), list[bytes]()
        passkey = Passkey(KEY.id, from_url_safe(KEY.registered["public"]), refuse=refuse, silent=silent)
        self.demand = Demand(
            passkey,
            self.phone,
            os.urandom,
            lambda kind, content: self.notices.append((kind, content)),
            self.linked.append,
        )
        self.demand.begin()

    @property
    def request(self) -> str:
        """What was asked."""
        return self.notices[0][1].data.decode()

    def answer(self, text: str = "", proof: bytes = b"") -> None:
        """Answer it."""
        given = text or json.dumps(KEY.answer(self.request))
        parts = [node("pairing_handoff_proof", proof)] if proof else []
        self.ask(
            "passkey_prologue",
            node("credential_id", KEY.id),
            node("webauthn_assertion", given.encode()),
            node("prologue_payload", b"payload"),
            *parts,
        )

    def ask(self, tag: str, *content: Node | bytes) -> list[Node]:
        """Send a query, and let happen what comes behind it."""
        served = self.demand.query(node(tag, *content))
        assert served is not None
        answer, behind = served
        behind()
        return answer


def test_the_whole_step() -> None:
    """Asked, answered, the phone's half passed on, the nonce too, and a container at the end."""
    step = Step()
    assert "passkey_prologue_request" == step.notices[0][0]
    assert [step.request] == [each.data.decode() for each in step.ask("passkey_request_options")]
    step.answer(proof=b"proof")
    kind, content = step.notices[1]
    assert ("crsc_continuation", "primary_ephemeral_identity", b"primary") == (kind, content.tag, content.data)
    assert [] == step.ask("companion_nonce", b"nonce")
    assert [] == step.ask("encrypted_pairing_request", b"sealed")
    told = [("prologue", b"payload", b"proof"), ("nonce", b"nonce"), ("request", b"sealed")]
    assert told == step.phone.told
    assert [b"container"] == step.linked


def test_a_wrong_answer_goes_no_further() -> None:
    """The phone hears of nothing, and the right answer is still taken."""
    step = Step()
    with pytest.raises(QueryError, match="wrong origin"):
        step.answer(json.dumps(KEY.answer(step.request, origin="https://example.org")))
    assert [] == step.phone.told
    step.answer()
    assert [("prologue", b"payload", b"")] == step.phone.told


def test_a_server_that_refuses_and_one_that_is_silent() -> None:
    """The one answers with an error, the other takes the answer and tells nobody."""
    with pytest.raises(QueryError, match="not-authorized"):
        Step(refuse=True).answer()
    step = Step(silent=True)
    step.answer()
    assert [] == step.phone.told
    assert 1 == len(step.notices)


def test_what_the_phone_refuses_links_nothing() -> None:
    """Its word is the companion's error."""
    step = Step()
    step.phone.accepts = False
    with pytest.raises(QueryError):
        step.answer()
    with pytest.raises(QueryError):
        step.ask("encrypted_pairing_request", b"sealed")
    assert [] == step.linked


def test_other_questions_are_not_of_this_step() -> None:
    """They are left to whoever serves the connection."""
    assert None is Step().demand.query(node("ref"))
