"""What a WhatsApp message holds: from waE2E.Message to the port's Content.

`content` gives None for what nobody wrote (keys, sync, settings between devices) and Other(UNKNOWN) for fields that
are younger than the tables in `fields`. Pure.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from google.protobuf.message import Message

from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.port import OtherKind

from .fields import KINDS, PROTOCOL_TYPES, SILENT, TEXTS, TOLD_TYPES, VIEW_ONCE, WRAPPERS, ProtocolType
from .protos import each, flag, has, integer, real, string, sub

MAX_DEPTH: Final = 8  # wrappers within wrappers; honest messages have two
MAX_WORDS: Final = 100  # pieces of text taken from one message


def content(message: Message, depth: int = 0) -> port.Content | None:
    """Give what somebody has said or done, None where nobody has."""
    if depth > MAX_DEPTH:
        return port.Other(OtherKind.UNKNOWN)
    if string(message, "conversation"):
        return port.Text(string(message, "conversation"))
    names = [field.name for field, _ in message.ListFields()]
    for name in names:
        if name in VIEW_ONCE:
            return port.Other(OtherKind.VIEW_ONCE)
        if name in WRAPPERS:
            return content(sub(message, name, "message"), depth + 1)
        if name in SILENT:
            continue
        return _one(name, sub(message, name))
    unknown = not names and message.ByteSize() > 0
    return port.Other(OtherKind.UNKNOWN) if unknown else None


def _one(name: str, inner: Message) -> port.Content | None:
    if name in READERS:
        return READERS[name](inner)
    if name in TEXTS:
        return port.Text("\n".join(_words(inner, TEXTS[name])))
    if name not in KINDS:
        return port.Other(OtherKind.UNKNOWN)
    kind, paths = KINDS[name]
    return port.Other(kind, "\n".join(_words(inner, paths)))


def _extended(inner: Message) -> port.Text:
    text = string(inner, "text") or "\n".join(_words(inner, ("title", "description", "matchedText")))
    return port.Text(text, quoted=string(inner, "contextInfo", "stanzaID"))


def _reaction(inner: Message) -> port.Reaction:
    return port.Reaction(string(inner, "key", "ID"), string(inner, "text"))


def _protocol(inner: Message) -> port.Content | None:
    """Read what changes an earlier message or the chat. Without a known type it is never taken for a deletion."""
    type_ = integer(inner, "type") if has(inner, "type") else PROTOCOL_TYPES + 1
    target = string(inner, "key", "ID")
    match type_:
        case ProtocolType.REVOKE if target:
            return port.Revoke(target)
        case ProtocolType.EDIT:
            return port.Edit(target, _edited(content(sub(inner, "editedMessage"))))
        case ProtocolType.TIMER:
            return port.Other(OtherKind.TIMER, _timer(integer(inner, "ephemeralExpiration")))
        case _:
            told = type_ in TOLD_TYPES or type_ > PROTOCOL_TYPES
            return port.Other(OtherKind.UNKNOWN) if told else None


def _edited(new: port.Content | None) -> str:
    match new:
        case port.Text(text) | port.Other(_, text):
            return text
        case _:
            return ""


def _timer(seconds: int) -> str:
    if not seconds:
        return "off"
    days, hours = seconds // 86_400, seconds // 3600
    return f"{days} days" if days > 1 else f"{hours} hours"


def _media(inner: Message, kind: OtherKind) -> port.Other:
    if flag(inner, "viewOnce"):
        return port.Other(OtherKind.VIEW_ONCE)
    return port.Other(kind, string(inner, "caption") if "caption" in inner.DESCRIPTOR.fields_by_name else "")


def _audio(inner: Message) -> port.Other:
    return _media(inner, OtherKind.VOICE if flag(inner, "PTT") else OtherKind.AUDIO)


def _card(inner: Message) -> port.Other:
    return port.Other(OtherKind.CONTACT, "\n".join([string(inner, "displayName"), *_phones(string(inner, "vcard"))]))


def _location(inner: Message) -> port.Location:
    live = "sequenceNumber" in inner.DESCRIPTOR.fields_by_name or flag(inner, "isLive")
    texts = tuple(name for name in ("caption", "name", "address", "comment") if name in inner.DESCRIPTOR.fields_by_name)
    return port.Location(
        latitude=real(inner, "degreesLatitude"),
        longitude=real(inner, "degreesLongitude"),
        name=", ".join(_words(inner, texts)),
        live=live,
    )


def _album(inner: Message) -> port.Other:
    counts = {"photo": integer(inner, "expectedImageCount"), "video": integer(inner, "expectedVideoCount")}
    written = (f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count)
    return port.Other(OtherKind.ALBUM, ", ".join(written))


def _phones(card: str) -> list[str]:
    """Give the numbers of a vCard."""
    lines = (line.strip() for line in card.splitlines() if line.upper().startswith(("TEL", "ITEM1.TEL")))
    return [line.rpartition(":")[2] for line in lines][:MAX_WORDS]


def _words(message: Message, paths: tuple[str, ...]) -> list[str]:
    """Give the texts at these paths, empty ones and repeats left out."""
    found = (text for path in paths for text in _at(message, path.split(".")))
    return list(dict.fromkeys(text for text in found if text))[:MAX_WORDS]


def _at(message: Message, path: list[str]) -> Iterator[str]:
    name, *rest = path
    field = message.DESCRIPTOR.fields_by_name[name]
    if not rest:
        text = string(message, name)
        yield from _button(text) if name == "buttonParamsJSON" else [text]
    elif field.is_repeated:
        for one in each(message, name)[:MAX_WORDS]:
            yield from _at(one, rest)
    elif message.HasField(name):
        yield from _at(sub(message, name), rest)


def _button(parameters: str) -> list[str]:
    """Give label, code and link of a business message's button."""
    try:
        read = json.loads(parameters)
    except (ValueError, RecursionError):
        return []
    return (
        [str(read[key]) for key in ("display_text", "copy_code", "url") if key in read]
        if isinstance(read, dict)
        else []
    )


READERS: Final[dict[str, Callable[[Message], port.Content | None]]] = {
    "extendedTextMessage": _extended,
    "protocolMessage": _protocol,
    "reactionMessage": _reaction,
    "locationMessage": _location,
    "liveLocationMessage": _location,
    "albumMessage": _album,
    "contactMessage": _card,
    "imageMessage": partial(_media, kind=OtherKind.IMAGE),
    "videoMessage": partial(_media, kind=OtherKind.VIDEO),
    "audioMessage": _audio,
}
