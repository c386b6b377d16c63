"""What an owner may bring as a passkey's answer, and what not; each refusal is a sentence."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponton_bridge.core import passkey
from ponton_bridge.model.errors import OwnerError
from tests.harness.authenticator import Authenticator
from tests.sandbox.passkeys import Passkey, from_url_safe, url_safe

KEY = Authenticator()
CHALLENGE = b"c" * 32
REQUEST = Passkey(KEY.id, b"").options(CHALLENGE).decode()


def answered(**how: Any) -> str:  # noqa: ANN401 - as the authenticator takes them
    """An answer's JSON."""
    return json.dumps(KEY.answer(REQUEST, **how))


def test_a_right_answer_is_given_on_with_what_whatsapp_is_told_alone() -> None:
    """What the browser adds about itself stays behind."""
    told = json.loads(passkey.check(answered(), REQUEST).to_json())
    whole = KEY.answer(REQUEST)
    assert {"id": url_safe(KEY.id), "rawId": url_safe(KEY.id), "type": "public-key"} == {
        name: told[name] for name in ("id", "rawId", "type")
    }
    assert set(whole["response"]) == set(told["response"])
    assert {"id", "rawId", "type", "response"} == set(told)


def test_an_answer_without_a_user_is_one() -> None:
    """Passkeys that are no resident ones name nobody."""
    whole = KEY.answer(REQUEST)
    for handle in (None, "absent"):
        whole["response"]["userHandle"] = handle
        if handle:
            del whole["response"]["userHandle"]
        assert None is json.loads(passkey.check(json.dumps(whole), REQUEST).to_json())["response"]["userHandle"]


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"origin": "https://ponton.example.org"}, "not made at web.whatsapp.com"),
        ({"origin": "https://web.whatsapp.com.example.org"}, "not made at web.whatsapp.com"),
        ({"challenge": url_safe(b"another")}, "another request"),
    ],
)
def test_an_answer_that_whatsapp_would_refuse_is_told_here(how: dict[str, str], sentence: str) -> None:
    """The owner learns what to do otherwise, before WhatsApp is asked."""
    with pytest.raises(OwnerError, match=sentence):
        passkey.check(answered(**how), REQUEST)


def test_an_answer_of_another_passkey() -> None:
    """Only those that WhatsApp names count; where it names none, any does."""
    other = json.dumps(Authenticator().answer(REQUEST))
    with pytest.raises(OwnerError, match="another passkey"):
        passkey.check(other, REQUEST)
    assert passkey.check(other, json.dumps(json.loads(REQUEST) | {"allowCredentials": []})).id


SPOILT: dict[str, Callable[[dict[str, Any]], object]] = {
    "no response": lambda a: a.pop("response"),
    "a response of text": lambda a: a.update(response="x"),
    "no signature": lambda a: a["response"].pop("signature"),
    "a signature of numbers": lambda a: a["response"].update(signature=7),
    "a signature with padding": lambda a: a["response"].update(signature="AA=="),
    "an empty signature": lambda a: a["response"].update(signature=""),
    "a part that is one character": lambda a: a["response"].update(signature="A"),
    "two ids": lambda a: a.update(rawId="AAAA"),
    "another type": lambda a: a.update(type="password"),
    "short data": lambda a: a["response"].update(authenticatorData="AAAA"),
    "client data of nonsense": lambda a: a["response"].update(clientDataJSON="AAAA"),
    "a registration": lambda a: a["response"].update(
        clientDataJSON=url_safe(b'{"type":"webauthn.create","challenge":"AAAA","origin":"https://web.whatsapp.com"}')
    ),
    "an origin of numbers": lambda a: a["response"].update(
        clientDataJSON=url_safe(b'{"type":"webauthn.get","challenge":"AAAA","origin":7}')
    ),
    "a user of numbers": lambda a: a["response"].update(userHandle=[1]),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_no_answer_is_told(name: str) -> None:
    """A member that is missing, or of another kind, is the owner's to copy again."""
    spoilt = KEY.answer(REQUEST)
    SPOILT[name](spoilt)
    with pytest.raises(OwnerError, match="Copy it again"):
        passkey.read(json.dumps(spoilt))


@given(st.text(max_size=300) | st.recursive(st.none() | st.integers() | st.text(max_size=5), st.lists).map(json.dumps))
def test_any_text_is_an_answer_or_a_sentence(text: str) -> None:
    """Nothing that anybody pastes raises anything but the owner's error."""
    for read in (passkey.read, passkey.unpacked):
        with pytest.raises(OwnerError):
            passkey.read(read(text)) if read is passkey.unpacked else read(text)


def test_deep_nesting_is_an_answer_to_nobody() -> None:
    """A reader's limit is not the owner's fault to see."""
    with pytest.raises(OwnerError):
        passkey.read("[" * passkey.LONGEST)


def test_what_clients_do_to_a_text_is_undone() -> None:
    """Spaces and lines that a chat puts in are no part of it."""
    packed = KEY.packed(REQUEST)
    broken = "\n ".join(packed[at : at + 60] for at in range(0, len(packed), 60))
    assert from_url_safe(packed).decode() == passkey.unpacked(f" {broken}\n")
    assert passkey.read(passkey.unpacked(broken)).id == url_safe(KEY.id)


def test_sizes_are_bounded() -> None:
    """More than an answer is not looked into."""
    with pytest.raises(OwnerError, match="longer than an answer"):
        passkey.unpacked("A" * (passkey.LONGEST + 1))
    with pytest.raises(OwnerError):
        passkey.read(json.dumps(KEY.answer(REQUEST) | {"more": "x" * passkey.LONGEST}))
    with pytest.raises(OwnerError):
        passkey.unpacked(base64.b64encode(b"\xff\xfe?").decode())
