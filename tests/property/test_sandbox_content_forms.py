"""Messages in all their forms: padding, JSON, wrappers, and stanzas as JSON."""

import contextlib
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.sandbox.control import stanzas
from tests.sandbox.node import JID, Node
from tests.sandbox.phones import content

texts = st.text(max_size=60)
plain = st.builds(lambda text: {"conversation": text}, texts)
extended = st.builds(lambda text: {"extendedTextMessage": {"text": text}}, texts)
image = st.builds(
    lambda caption, size: {"imageMessage": {"caption": caption, "height": size}}, texts, st.integers(1, 5000)
)
reaction = st.builds(lambda text: {"reactionMessage": {"text": text}}, texts)
leaves: st.SearchStrategy[dict[str, Any]] = plain | extended | image | reaction
wrapped = st.recursive(
    leaves,
    lambda inner: st.builds(
        lambda name, message: {name: {"message": message}}, st.sampled_from(content.WRAPPERS), inner
    ),
    max_leaves=4,
)


def innermost(data: dict[str, Any]) -> dict[str, Any]:
    """The content inside all wrappers."""
    (name, value) = next(iter(data.items()))
    return innermost(value["message"]) if name in content.WRAPPERS else data


@given(data=wrapped, seed=st.integers(0, 2**32))
def test_padding_comes_off_again(data: dict[str, Any], seed: int) -> None:
    """A message survives padding of any size, with one to fifteen bytes added."""
    message = content.from_json(data)
    padded = content.pad(message, Random(seed).randbytes)
    assert message == content.unpad(padded)
    assert 1 <= len(padded) - message.ByteSize() <= 15


@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_message_or_a_value_error(data: bytes) -> None:
    """Plaintext from nowhere is read or refused, never anything else."""
    with contextlib.suppress(ValueError):
        content.unpad(data)


@given(data=wrapped)
def test_json_is_stable(data: dict[str, Any]) -> None:
    """What was read from JSON gives JSON that reads as the same message."""
    message = content.from_json(data)
    assert message == content.from_json(content.to_json(message))


@given(data=wrapped)
def test_wrappers_do_not_change_what_is_seen(data: dict[str, Any]) -> None:
    """Kind, text and label are those of the content inside all wrappers."""
    message, bare = content.from_json(data), content.from_json(innermost(data))
    assert content.kind_of(bare) == content.kind_of(message)
    assert content.text_of(bare) == content.text_of(message)
    assert content.label(bare) == content.label(message)


@given(data=wrapped, chat=st.integers(1, 10**12))
def test_a_copy_holds_chat_and_message(data: dict[str, Any], chat: int) -> None:
    """The copy for the own companions gives back both."""
    message = content.from_json(data)
    assert (f"{chat}@lid", message) == content.sent_copy(content.device_sent(f"{chat}@lid", message))


jids = st.builds(
    JID,
    st.from_regex(r"[1-9][0-9]{0,14}", fullmatch=True),
    st.sampled_from(["lid", "s.whatsapp.net"]),
    st.integers(0, 99),
)
words = st.from_regex(r"[a-z_-]{1,12}", fullmatch=True)
nodes = st.recursive(
    st.builds(Node, words, st.dictionaries(words, texts | jids, max_size=3), st.none() | st.binary(min_size=1)),
    lambda inner: st.builds(
        Node, words, st.dictionaries(words, texts | jids, max_size=3), st.lists(inner, min_size=1, max_size=3)
    ),
    max_leaves=6,
)


@given(stanza=nodes)
def test_stanzas_survive_json(stanza: Node) -> None:
    """A stanza comes back as it was, addresses as addresses, bytes as bytes."""
    assert stanza == stanzas.read(stanzas.write(stanza))
