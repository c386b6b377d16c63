"""WhatsApp's and neonize's protobuf messages out of the neonize wheel, without importing neonize itself.

The generated modules import each other by bare names (`waE2E`, `waWeb` …), so their folder goes to the end of the
module path, as the wheel itself does it. Nothing here loads the Go library. Used by the driver's converters only:
no protobuf goes beyond them.
"""

import importlib
import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from ponton_bridge.model.errors import HostError


@cache
def folder() -> Path:
    """Give neonize's package folder; HostError when it is not installed."""
    spec = importlib.util.find_spec("neonize")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not places:
        raise HostError("The WhatsApp library (neonize) is not installed here.")
    return Path(places[0])


@cache
def _module(name: str) -> Any:  # noqa: ANN401 - generated code has no types; this module is where that ends
    protos = str(folder() / "proto")
    if protos not in sys.path:
        sys.path.append(protos)
    return importlib.import_module(name)


def neonize(name: str, **fields: object) -> Message:
    """Make one of neonize's own messages: JID, PairPhoneParams, Receipt and so on."""
    made: Message = getattr(_module("Neonize_pb2"), name)(**fields)
    return made


def read(name: str, data: bytes) -> Message:
    """Read one of neonize's own messages; DecodeError (a ValueError of protobuf) when it is none."""
    read_: Message = getattr(_module("Neonize_pb2"), name).FromString(data)
    return read_


def whatsapp(**fields: object) -> Message:
    """Make the content of a WhatsApp message (waE2E.Message)."""
    made: Message = _module("waE2E.WAWebProtobufsE2E_pb2").Message(**fields)
    return made


def device_props(**fields: object) -> Message:
    """Make what the phone shows about this device in its list of linked devices."""
    made: Message = _module("waCompanionReg.WAWebProtobufsCompanionReg_pb2").DeviceProps(**fields)
    return made


def has(message: Message, *path: str) -> bool:
    """Tell whether a nested field is there."""
    for name in path:
        if not message.HasField(name):
            return False
        message = getattr(message, name)
    return True


def sub(message: Message, *path: str) -> Message:
    """Give a nested message, an empty one where nothing is."""
    for name in path:
        message = getattr(message, name)
    return message


def string(message: Message, *path: str) -> str:
    """Give a text field, '' where there is none."""
    return str(getattr(sub(message, *path[:-1]), path[-1]))


def integer(message: Message, *path: str) -> int:
    """Give a number, enum values included; the default where there is none."""
    return int(getattr(sub(message, *path[:-1]), path[-1]))


def flag(message: Message, *path: str) -> bool:
    """Give a boolean, False where there is none."""
    return bool(getattr(sub(message, *path[:-1]), path[-1]))


def each(message: Message, name: str) -> list[Message]:
    """Give a repeated message field."""
    return list(getattr(message, name))


def plain(message: Message) -> dict[str, object]:
    """Give a message's plain form (see `whatsapp.content`), files and keys (bytes) left out."""
    found: dict[str, object] = {
        field.name: _values(value, field.message_type is not None)
        for field, value in message.ListFields()
        if field.type != field.TYPE_BYTES
    }
    if not found and message.ByteSize():
        found["?"] = True
    return found


def _values(value: Any, nested: bool) -> object:  # noqa: ANN401, FBT001 - a field's value, of a message or plain
    if isinstance(value, Message):
        return plain(value)
    return [plain(one) for one in value] if nested else value
