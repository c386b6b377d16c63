"""What is fuzzed, each a function of one random source that raises when something does not hold.

Called by `tests.fuzz.__main__` and the share of it in the tests. A new converter gets a line in TARGETS.
"""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final
from xml.etree.ElementTree import Element, ParseError, fromstring

from google.protobuf.message import DecodeError

from ponton_bridge.coordination.contract import Command, Heartbeat, LiveCode, Result, StateChange
from ponton_bridge.features import pipeline
from ponton_bridge.features.context import Keep, MarkRead, Reply, Send
from ponton_bridge.features.stanzas import MAX_TEXT
from ponton_bridge.model import xml
from ponton_bridge.model.address import from_localpart, parse_number
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.jid import prepare_bare
from ponton_bridge.model.serial import dump, load, moved
from ponton_bridge.shard.logs import REDACTED, redact
from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.content import content
from ponton_bridge.whatsapp.neonize_driver import events, protos
from ponton_operator.selfservice.xmpp import chat, forms
from tests.fuzz import grow
from tests.unit.dialogue import ANA, DOMAIN, NOW, OWNER, Dialogue
from tests.unit.test_neonize_events import FROM_ANA, FROM_ME, IN_FAMILY, build, message

STANZA_LIMIT: Final = 250_000  # bytes; what the journal takes
SOURCES: Final = (FROM_ANA, FROM_ANA, FROM_ME, IN_FAMILY)
LIKELY: Final = (
    "conversation",
    "extendedTextMessage",
    "protocolMessage",
    "reactionMessage",
    "locationMessage",
    "imageMessage",
)


def _sane(stanza: Element, sender: str | None = None) -> None:
    """Hold a stanza of ours to what the server takes: well-formed, not too large, to the owner or the host.

    It is from somebody in our domain; an answer may be from `sender`, whom the stanza was for.
    """
    written = dump(stanza)
    read = fromstring(written)  # noqa: S314 - what is under test
    assert [node.tag for node in stanza.iter()] == [node.tag for node in read.iter()]
    assert STANZA_LIMIT > len(written.encode())
    spoken = read.get("from", "").partition("/")[0]
    assert spoken.rpartition("@")[2] == DOMAIN or spoken == str(sender).partition("/")[0]
    assert str(read.get("to")).partition("/")[0] in {OWNER, "example.test"}


def _heard(bridge: Dialogue, heard: Sequence[port.Event]) -> None:
    for event in heard:
        done = pipeline.from_whatsapp(event, bridge.context)
        pipeline.keep(done, bridge.books)
        for stanza in (*done.durable, *done.transient):
            _sane(stanza)
            if isinstance(event, port.Message) and (body := stanza.find(f"{{{xml.CLIENT}}}body")) is not None:
                assert (body.text or "").strip(), "a blank body"


def from_whatsapp(random: Random) -> None:
    """A message of any content, from the library's bytes to the owner's stanza."""
    made: Any = protos.whatsapp()
    if random.random() < 0.5:
        name = random.choice(LIKELY)
        if name == "conversation":
            made.conversation = grow.text(random).encode("utf-8", "replace").decode()
        else:
            grow.filled(random, getattr(made, name))
    else:
        grow.filled(random, made)
    event = build("Message", message(random.choice(SOURCES), {}))
    protos.sub(event, "Message").CopyFrom(made)
    heard = events.read_event(17, event.SerializePartialToString(), NOW)
    assert (content(protos.plain(made)) is None) == (heard == [])
    _heard(Dialogue().knows(ANA), heard)


_BYTES: dict[int, bytes] = {}


def from_library(random: Random) -> None:
    """Bent bytes under any number of an event: events, or the one error that the driver counts."""
    number = random.choice(sorted(events.READERS))
    made = protos.neonize(events.READERS[number].name)
    data = grow.bent(random, _BYTES.get(number, b"")) if random.random() < 0.4 else b""
    if not data:
        data = grow.filled(random, made).SerializePartialToString()
        _BYTES[number] = data[:2000]
    try:
        heard = events.read_event(number, data, NOW)
    except DecodeError:
        return
    _heard(Dialogue().knows(ANA), heard)


def from_xmpp(random: Random) -> None:
    """A stanza of anybody: intents that can be carried out, answers that fit, words never met with silence."""
    bridge = Dialogue().knows(ANA)
    for stanza in (grow.stanza(random) for _ in range(random.choice((1, 1, 3)))):
        row = dump(stanza)
        pipeline.needs_journal(stanza)
        for intent in pipeline.from_xmpp(load(row), bridge.context):
            match intent:
                case Send(_, port.Text(words) | port.Edit(_, words)):
                    assert MAX_TEXT >= len(words) > 0
                case Reply(answer):
                    _sane(answer, load(row).get("to", ""))
                    assert (answer.get("type") != "error") or stanza.get("type") != "error"
                case MarkRead():
                    assert intent.ids
                case Keep():
                    bridge.books.save_contact(*intent.contact)
                case _:
                    pass


def serial(random: Random) -> None:
    """Any tree is written so that it reads back the same, and moved to the component's namespace and back."""
    tree = grow.stanza(random)
    written = dump(tree)
    assert dump(load(written)) == written
    assert dump(moved(moved(tree, xml.CLIENT, xml.COMPONENT), xml.COMPONENT, xml.CLIENT)).count("<") == written.count(
        "<"
    )
    try:
        read = load(grow.bent(random, written.encode()).decode("utf-8", "replace"))
    except (ParseError, ValueError):
        return
    dump(read)


def redis(random: Random) -> None:
    """What stands in Redis is one of our values, or ValueError."""
    kind = random.choice((Command, Heartbeat, LiveCode, Result, StateChange))
    names = [*kind.__dataclass_fields__, "x"]
    raw = {name: random.choice((grow.text(random), *grow.NUMBER_TEXTS)) for name in names if random.random() < 0.9}
    given: list[tuple[Callable[[Any], Any], Any]] = [
        (kind.from_redis, raw),
        (kind.from_json, json.dumps(raw)),
        (kind.from_json, grow.text(random)),
    ]
    for read, text in given:
        try:
            value = read(text)
        except ValueError:
            continue
        assert kind.from_redis(value.to_redis()) == value or "nan" in str(value)


def addresses(random: Random) -> None:
    """Localparts, numbers and JIDs are read, or refused with a sentence; what is read can be written and read again."""
    for text in (grow.text(random), random.choice(grow.LOCALS), grow.jid(random)):
        try:
            address = from_localpart(text)
            assert from_localpart(address.localpart()) == address
        except OwnerError as error:
            assert error.sentence.endswith((".", "!"))  # noqa: PT017 - raising is one of the two right outcomes
        for read in (parse_number, prepare_bare):
            try:
                done = read(text)
            except OwnerError:
                continue
            assert read(done) == done


def doors(random: Random) -> None:
    """Any text and any form at a door is a request, or none."""
    chat.read(OWNER, grow.text(random))
    stanza = grow.stanza(random)
    chat.is_conversation(stanza)
    for element in stanza:
        forms.values(element)


def logs(random: Random) -> None:
    """Whatever is logged, the planted address, number and link are not there."""
    secrets = ("alice@example.org", "+447700900123", "https://example.org/x?token=1", "ABCD-EFGH")
    secret, around = random.choice(secrets), grow.text(random)[:100]
    shown = redact({random.choice(("what", "where", "body", "Kind")): f"{around} {secret} {around}"})
    assert secret not in json.dumps(shown)
    assert REDACTED in json.dumps(shown) or len(around) > 90


TARGETS: Final[dict[str, tuple[int, Callable[[Random], None]]]] = {  # weight, target
    "from_whatsapp": (5, from_whatsapp),
    "from_library": (3, from_library),
    "from_xmpp": (6, from_xmpp),
    "serial": (2, serial),
    "redis": (2, redis),
    "addresses": (2, addresses),
    "doors": (1, doors),
    "logs": (1, logs),
}
