"""Whatever WhatsApp puts into a message, the driver's converters make content of it, and the features stanzas."""

from typing import Any
from xml.etree.ElementTree import fromstring, tostring

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from ponton_bridge.features import pipeline
from ponton_bridge.model.errors import Actor, PontonError
from ponton_bridge.model.states import Reason
from ponton_bridge.whatsapp import failures, port
from ponton_bridge.whatsapp.content import content
from ponton_bridge.whatsapp.neonize_driver import events, protos
from tests.unit.dialogue import ANA, NOW, Dialogue
from tests.unit.test_neonize_events import FROM_ANA, FROM_ME, IN_FAMILY, build, info, message

BOUND = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
DEPTH = 4  # messages within messages
CONTENTS = port.Text | port.Edit | port.Revoke | port.Reaction | port.Location | port.Other

texts = st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
}


@st.composite
def filled(draw: st.DrawFn, made: Message, depth: int = DEPTH) -> Message:
    """Fill a few fields of a protobuf with anything that its type allows."""
    fields: list[Any] = list(made.DESCRIPTOR.fields)
    for field in draw(st.lists(st.sampled_from(fields), max_size=3, unique_by=lambda each: each.name)):
        _fill(draw, made, field, depth)
    return made


def _fill(draw: st.DrawFn, made: Message, field: Any, depth: int) -> None:  # noqa: ANN401 - a descriptor of upb
    values = draw(st.integers(1, 3)) if field.is_repeated else 1
    target = getattr(made, field.name)
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        if depth == 0:
            return
        for _ in range(values):
            draw(filled(target.add() if field.is_repeated else target, depth - 1))
        if not field.is_repeated:
            target.SetInParent()
        return
    one: st.SearchStrategy[Any]
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        one = st.binary(max_size=20) if field.type == FieldDescriptor.TYPE_BYTES else texts
    elif field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        one = st.sampled_from([value.number for value in field.enum_type.values])
    else:
        one = NUMBERS[field.cpp_type]
    if field.is_repeated:
        target.extend(draw(one) for _ in range(values))
    else:
        setattr(made, field.name, draw(one))


whole = st.deferred(lambda: st.builds(protos.whatsapp).flatmap(filled))


@BOUND
@given(whole)
def test_every_message_has_content_or_none(made: Message) -> None:
    """Any combination of fields is read without an error, and all that comes of it is typed."""
    said = content(protos.plain(made))
    assert said is None or isinstance(said, CONTENTS)
    match said:
        case port.Text(text) | port.Edit(_, text) | port.Other(_, text):
            assert isinstance(text, str)
        case port.Location(latitude, longitude):
            assert isinstance(latitude, float)
            assert isinstance(longitude, float)
        case _:
            pass


@BOUND
@given(whole, st.sampled_from([FROM_ANA, FROM_ME, IN_FAMILY]))
def test_every_message_becomes_stanzas(made: Message, source: dict[str, Any]) -> None:
    """From the library's bytes to XML that a parser takes: what has content says something, what has none is silent."""
    event = build("Message", message(source, {}))
    protos.sub(event, "Message").CopyFrom(made)
    heard = events.read_event(17, event.SerializeToString(), NOW)
    bridge = Dialogue().knows(ANA)
    for one in heard:
        for stanza in pipeline.from_whatsapp(one, bridge.context).durable:
            assert fromstring(tostring(stanza)) is not None  # noqa: S314 - what is under test
    assert (content(protos.plain(made)) is None) == (heard == [])


@BOUND
@given(whole)
def test_wrapping_changes_nothing(made: Message) -> None:
    """A disappearing message, or our own phone's copy, is the message that it holds."""
    assume(content(protos.plain(made)) is not None)
    for wrapper in ("ephemeralMessage", "deviceSentMessage"):
        wrapped = protos.whatsapp(**{wrapper: {"message": made}})
        assert repr(content(protos.plain(made))) == repr(content(protos.plain(wrapped)))  # NaN is not equal to itself


def read_or_refused(number: int, data: bytes) -> None:
    """Only events come of it, or the one error that the driver counts."""
    try:
        heard = events.read_event(number, data, NOW)
    except DecodeError:
        return
    assert all(isinstance(event, port.Event) for event in heard)


@BOUND
@given(st.sampled_from(sorted(events.READERS)), st.binary(max_size=200))
def test_garbage_is_an_event_or_refused(number: int, data: bytes) -> None:
    """Any bytes under any number are read or refused."""
    read_or_refused(number, data)


@BOUND
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_spoilt_event_is_an_event_or_refused(place: int, value: int) -> None:
    """One wrong byte anywhere in a message makes another message, or none."""
    said = {"conversation": "hello", "imageMessage": {}}
    data = bytearray(build("Message", message(FROM_ANA, said)).SerializeToString())
    data[place % len(data)] = value
    read_or_refused(17, bytes(data))


@BOUND
@given(texts, st.sampled_from(["", "server returned error ", "no LID found ", "not logged in"]), st.integers(100, 999))
def test_words_of_the_library_never_reach_the_owner(text: str, known: str, number: int) -> None:
    """Whatever it says, the error is typed and its sentence is ours."""
    for judge in (failures.of_send, failures.of_call):
        error = judge(f"{text}{known}{number} {text}")
        assert isinstance(error, PontonError)
        assert error.actor in {Actor.OWNER, Actor.WHATSAPP}
        assert len(text) < 4 or text not in error.sentence  # shorter ones are in any sentence


@BOUND
@given(texts)
def test_last_words_are_a_state_of_the_link(problem: str) -> None:
    """Whatever ends a session has a reason from the table."""
    assert events.ended(problem) in set(Reason)


@pytest.mark.parametrize("number", sorted(events.READERS))
def test_empty_event_is_read(number: int) -> None:
    """An event of which nothing but the required fields is there is no surprise."""
    name = events.READERS[number].name
    made = protos.neonize(name)
    _require(made, made.DESCRIPTOR)
    assert isinstance(events.read_event(number, made.SerializeToString(), NOW), list)


def _require(made: Message, descriptor: Any) -> None:  # noqa: ANN401 - a descriptor of upb
    """Set every required field to the least that its type allows."""
    for field in descriptor.fields:
        if not field.is_required:
            continue
        if field.message_type is not None:
            inner = getattr(made, field.name)
            inner.SetInParent()
            _require(inner, field.message_type)
        elif field.enum_type is not None:
            setattr(made, field.name, field.enum_type.values[0].number)
        else:
            setattr(made, field.name, type(getattr(made, field.name))())


def test_every_source_is_read() -> None:
    """Chat and sender of each of the sources used here are known: the tests above are about content."""
    for source in (FROM_ANA, FROM_ME, IN_FAMILY):
        read = protos.sub(build("MessageInfo", info(source)), "MessageSource")
        names = events.names(read)
        assert names.chat is not None
        assert names.sender is not None
