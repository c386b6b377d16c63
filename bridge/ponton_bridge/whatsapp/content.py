"""What a WhatsApp message holds: from the plain form of waE2E.Message to the port's Content.

Plain form: a dict of what is there, fields under their names in WhatsApp's schema, enums as numbers, and "?" where
there was something that the schema does not know. Both drivers make it, so both say the same of a message. `content`
gives None for what nobody wrote (keys, sync, settings between devices) and Other(UNKNOWN) for fields that are younger
than the tables in `fields`. Pure.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from ponton_bridge.whatsapp import port
from ponton_bridge.whatsapp.fields import (
    KINDS,
    PROTOCOL_TYPES,
    SILENT,
    TEXTS,
    TOLD_TYPES,
    VIEW_ONCE,
    WRAPPERS,
    ProtocolType,
)
from ponton_bridge.whatsapp.port import OtherKind

MAX_DEPTH: Final = 8  # wrappers within wrappers; honest messages have two
MAX_WORDS: Final = 100  # pieces of text taken from one message
STRANGE: Final = "?"  # stands for fields that the schema does not know

Plain = Mapping[str, Any]


def sub(message: Plain, *path: str) -> Plain:
    """Give what lies at a path, an empty mapping where nothing is."""
    for name in path:
        message = message.get(name) or {}
    return message


def string(message: Plain, *path: str) -> str:
    """Give a text field, '' where there is none."""
    return str(sub(message, *path[:-1]).get(path[-1]) or "")


def content(message: Plain, depth: int = 0) -> port.Content | None:
    """Give what somebody has said or done, None where nobody has."""
    if depth > MAX_DEPTH:
        return port.Other(OtherKind.UNKNOWN)
    if string(message, "conversation"):
        return port.Text(string(message, "conversation"))
    names = [name for name in message if name != STRANGE]
    for name in names:
        if name in VIEW_ONCE:
            return port.Other(OtherKind.VIEW_ONCE)
        if name in WRAPPERS:
            return content(sub(message, name, "message"), depth + 1)
        if name in SILENT:
            continue
        return _one(name, sub(message, name))
    return port.Other(OtherKind.UNKNOWN) if not names and STRANGE in message else None


def _one(name: str, inner: Plain) -> port.Content | None:
    if name in READERS:
        return READERS[name](inner)
    if name in TEXTS:
        return port.Text("\n".join(_words(inner, TEXTS[name])))
    if name not in KINDS:
        return port.Other(OtherKind.UNKNOWN)
    kind, paths = KINDS[name]
    return port.Other(kind, "\n".join(_words(inner, paths)))


def _extended(inner: Plain) -> port.Text:
    text = string(inner, "text") or "\n".join(_words(inner, ("title", "description", "matchedText")))
    return port.Text(text, quoted=string(inner, "contextInfo", "stanzaID"))


def _reaction(inner: Plain) -> port.Reaction:
    return port.Reaction(string(inner, "key", "ID"), string(inner, "text"))


def _protocol(inner: Plain) -> port.Content | None:
    """Read what changes an earlier message or the chat. Without a known type it is never taken for a deletion."""
    type_ = int(inner.get("type", PROTOCOL_TYPES + 1))
    target = string(inner, "key", "ID")
    match type_:
        case ProtocolType.REVOKE if target:
            return port.Revoke(target)
        case ProtocolType.EDIT:
            return port.Edit(target, _edited(content(sub(inner, "editedMessage"))))
        case ProtocolType.TIMER:
            return port.Other(OtherKind.TIMER, _timer(int(inner.get("ephemeralExpiration", 0))))
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


def _media(inner: Plain, kind: OtherKind) -> port.Other:
    if inner.get("viewOnce"):
        return port.Other(OtherKind.VIEW_ONCE)
    return port.Other(kind, string(inner, "caption"))


def _audio(inner: Plain) -> port.Other:
    return _media(inner, OtherKind.VOICE if inner.get("PTT") else OtherKind.AUDIO)


def _card(inner: Plain) -> port.Other:
    return port.Other(OtherKind.CONTACT, "\n".join([string(inner, "displayName"), *_phones(string(inner, "vcard"))]))


def _location(inner: Plain, *, live: bool = False) -> port.Location:
    return port.Location(
        latitude=float(inner.get("degreesLatitude") or 0),
        longitude=float(inner.get("degreesLongitude") or 0),
        name=", ".join(_words(inner, ("caption", "name", "address", "comment"))),
        live=live or bool(inner.get("isLive")),
    )


def _album(inner: Plain) -> port.Other:
    counts = {"photo": inner.get("expectedImageCount", 0), "video": inner.get("expectedVideoCount", 0)}
    written = (f"{count} {name}{'s' if count > 1 else ''}" for name, count in counts.items() if count)
    return port.Other(OtherKind.ALBUM, ", ".join(written))


def _phones(card: str) -> list[str]:
    """Give the numbers of a vCard."""
    lines = (line.strip() for line in card.splitlines() if line.upper().startswith(("TEL", "ITEM1.TEL")))
    return [line.rpartition(":")[2] for line in lines][:MAX_WORDS]


def _words(message: Plain, paths: tuple[str, ...]) -> list[str]:
    """Give the texts at these paths, empty ones and repeats left out."""
    found = (text for path in paths for text in _at(message, path.split(".")))
    return list(dict.fromkeys(text for text in found if text))[:MAX_WORDS]


def _at(message: Plain, path: list[str]) -> Iterator[str]:
    name, *rest = path
    if not rest:
        text = string(message, name)
        yield from _button(text) if name == "buttonParamsJSON" else [text]
        return
    found = message.get(name) or {}
    for one in found[:MAX_WORDS] if isinstance(found, list) else [found]:
        yield from _at(one, rest)


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


READERS: Final[dict[str, Callable[[Plain], port.Content | None]]] = {
    "extendedTextMessage": _extended,
    "protocolMessage": _protocol,
    "reactionMessage": _reaction,
    "locationMessage": _location,
    "liveLocationMessage": partial(_location, live=True),
    "albumMessage": _album,
    "contactMessage": _card,
    "imageMessage": partial(_media, kind=OtherKind.IMAGE),
    "videoMessage": partial(_media, kind=OtherKind.VIDEO),
    "audioMessage": _audio,
}
