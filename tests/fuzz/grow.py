"""Grows random things that converters are fed with: texts, XML trees, protobuf messages, bent bytes. Seeded, no I/O.

Called by `tests.fuzz.targets`. Plain `random`, since it makes ten times as many cases in a second as a property test;
what is found here becomes a case of a property test or a table.
"""

from random import Random
from typing import Any
from xml.etree.ElementTree import Element

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from ponton_bridge.model import xml
from tests.unit.dialogue import ANA, DOMAIN, FAMILY, OWNER

DEPTH = 4  # levels of trees and of messages within messages
LONGEST_JID = 3071  # three parts of 1,023 and two marks (RFC 6122, section 2.1)
NUMBER_TEXTS = ("0", "-1", "1e309", "nan", "inf", "99999999999999999999", "0x10", "١٢٣", "+44 7700 900123", "")
SPECIAL = (
    *("", " ", "\x00", "\ud800", "\ufffe", "\u202e", "]]>", "&<>\"'", "\r\n", "\U0001f600", "﷽" * 20, "e\u0301" * 50),
    *("geo:1,2", "geo:nan,inf", "http://127.0.0.1/", "file:///etc/passwd", "?OTR:", "%s%n", "../../x", "' OR 1=1"),
)  # fmt: skip
SPACES = tuple(value for name, value in vars(xml).items() if name.isupper() and isinstance(value, str) and ":" in value)
MORE_SPACES = (
    "", "urn:xmpp:reply:0", "urn:xmpp:fallback:0", "urn:xmpp:reactions:0", "urn:xmpp:sfs:0", "urn:xmpp:sims:1",
    "urn:xmpp:message-retract:1", "urn:xmpp:reference:0", "urn:xmpp:omemo:2", "eu.siacs.conversations.axolotl",
    "jabber:x:encrypted", "http://jabber.org/protocol/muc", "vcard-temp", "jabber:iq:version", "urn:nobody",
)  # fmt: skip
NAMES = [
    "body",
    "subject",
    "x",
    "query",
    "received",
    "request",
    "displayed",
    "acknowledged",
    "markable",
    "composing",
    "paused",
    "active",
    "gone",
    "replace",
    "reply",
    "retract",
    "reactions",
    "encrypted",
    "payload",
    "openpgp",
    "url",
    "show",
    "status",
    "priority",
    "error",
    "text",
    "ping",
    "vCard",
    "command",
    "field",
    "value",
    "remove",
    "phone",
    "prompt",
    "privilege",
    "forwarded",
    "message",
    "seq",
    "reference",
    "html",
    "file-sharing",
    "sticker",
    "propose",
    "attention",
    "item",
]
TYPES = (None, "", "chat", "normal", "groupchat", "headline", "error", "get", "set", "result", "probe", "subscribe",
         "subscribed", "unsubscribe", "unsubscribed", "unavailable", "flying")  # fmt: skip
SENDERS = (OWNER, f"{OWNER}/phone", f"{OWNER}/x/y", "mallory@example.test", "example.test", DOMAIN, "", "@", "\u212a@k")
LOCALS = (
    f"+{ANA.number}", f"lid-{ANA.lid}", str(ANA.number), str(FAMILY.group), "lid-", "lid-" + "9" * 21, "+0", "+",
    "status", "447700900123-1400000000", "nobody", "9" * 1023, "\uff0b447700900123", "b\\40b",
)  # fmt: skip


def text(random: Random) -> str:
    """Give a text: mostly short, sometimes odd, rarely huge."""
    dice = random.random()
    if dice < 0.4:
        return random.choice(SPECIAL)
    if dice < 0.5:
        return random.choice(NUMBER_TEXTS)
    if dice < 0.503:
        return random.choice("x&\U0001f600\x00") * random.choice((1_000, 65_536, 70_000))
    return "".join(chr(_point(random)) for _ in range(random.randrange(12)))


def _point(random: Random) -> int:
    return random.choice((random.randrange(128), random.randrange(0x3000), random.randrange(0x110000)))


def plain(random: Random) -> str:
    """Give a text that XML can carry, as a parser hands it over."""
    return "".join(c for c in text(random) if c >= " " and not "\ud800" <= c <= "\udfff" and c not in "\ufffe\uffff")


def jid(random: Random) -> str:
    """Give an address in the gateway's domain, or something of the kind; servers let no longer one through."""
    local = random.choice((*LOCALS, plain(random)))
    made = random.choice(
        (f"{local}@{DOMAIN}", f"{local}@{DOMAIN}/r", DOMAIN, f"{DOMAIN}/r", local, "", "@", "a@b@c/d/e")
    )
    return made[:LONGEST_JID]


def tree(random: Random, depth: int = DEPTH) -> Element:
    """Give an element of any known name in any known namespace."""
    space = random.choice(SPACES if random.random() < 0.6 else MORE_SPACES)
    name = random.choice(NAMES)
    made = Element(f"{{{space}}}{name}" if space else name)
    for key in ("id", "type", "node", "var", "to", "from", "jid", "action", "start", "end", "uri", "{urn:a}b"):
        if random.random() < 0.15:
            made.set(key, plain(random))
    if random.random() < 0.6:
        made.text = plain(random)
    if depth:
        made.extend(tree(random, depth - 1) for _ in range(random.choice((0, 0, 0, 1, 1, 2))))
    if random.random() < 0.1:
        made.tail = plain(random)
    return made


def stanza(random: Random) -> Element:
    """Give a message, iq or presence of anybody to anybody."""
    made = Element(f"{{{xml.CLIENT}}}{random.choice(('message', 'message', 'iq', 'presence', 'tea'))}")
    attributes = {"from": random.choice(SENDERS[:2] if random.random() < 0.8 else SENDERS), "to": jid(random)}
    attributes["id"] = random.choice(("x", "m1", "3EB001", "", plain(random)))
    kind = random.choice(TYPES)
    for key, value in (attributes | ({} if kind is None else {"type": kind})).items():
        if random.random() < 0.95:
            made.set(key, value)
    if random.random() < 0.5:
        body = Element(f"{{{xml.CLIENT}}}body")
        body.text = plain(random)
        made.append(body)
    made.extend(tree(random) for _ in range(random.choice((0, 1, 1, 1, 2, 3))))
    return made


def filled(random: Random, made: Message, depth: int = DEPTH) -> Message:
    """Fill up to four fields of a protobuf with anything that their types allow."""
    fields: list[Any] = list(made.DESCRIPTOR.fields)
    for field in random.sample(fields, min(len(fields), random.choice((1, 1, 2, 4)))):
        _fill(random, made, field, depth)
    return made


def _fill(random: Random, made: Message, field: Any, depth: int) -> None:  # noqa: ANN401 - a descriptor of upb
    target = getattr(made, field.name)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        if depth:
            filled(random, target.add() if field.is_repeated else target, depth - 1)
        elif not field.is_repeated:
            target.SetInParent()
        return
    value = _value(random, field)
    if field.is_repeated:
        target.extend([value] * random.choice((1, 1, 3)))
    else:
        setattr(made, field.name, value)


def _value(random: Random, field: Any) -> Any:  # noqa: ANN401, PLR0911 - a table: a descriptor of upb, and what fits
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return random.randbytes(random.randrange(20))
        case FieldDescriptor.CPPTYPE_STRING:
            return text(random).encode("utf-8", "replace").decode()
        case FieldDescriptor.CPPTYPE_ENUM:
            return random.choice([value.number for value in field.enum_type.values])
        case FieldDescriptor.CPPTYPE_BOOL:
            return random.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
            return random.choice((0.0, -0.0, 48.2, -181.0, 1e30, float("nan"), float("inf"), float("-inf")))
        case FieldDescriptor.CPPTYPE_UINT32:
            return random.choice((0, 1, 2**31, 2**32 - 1))
        case FieldDescriptor.CPPTYPE_UINT64:
            return random.choice((0, 1, 1_795_000_000, 2**63, 2**64 - 1))
        case FieldDescriptor.CPPTYPE_INT32:
            return random.choice((0, -1, 2**31 - 1, -(2**31)))
        case _:
            return random.choice((0, -1, 1_795_000_000, 2**63 - 1, -(2**63)))


def bent(random: Random, data: bytes) -> bytes:
    """Change, cut, double or add some bytes."""
    made = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 8))):
        place = random.randrange(len(made) + 1)
        match random.randrange(4):
            case 0:
                made[place : place + 1] = random.randbytes(1)
            case 1:
                del made[place : place + random.randrange(8)]
            case 2:
                made[place:place] = made[place : place + random.randrange(16)]
            case _:
                made[place:place] = random.randbytes(random.randrange(4))
    return bytes(made)
