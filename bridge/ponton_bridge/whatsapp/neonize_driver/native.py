"""neonize's Go library as a few typed Python calls: bytes in, bytes out, no pointer beyond this file.

Loaded when `library` is first called, never at import. Every call that answers at length blocks its thread until Go
is done (a send without an answer for 75 s), and releases the interpreter lock meanwhile. All calls but `run` need a
client that Go knows: with an unknown one some of them end the whole process (a Go panic), so `session` guards them.
"""

import os
from collections.abc import Callable
from ctypes import CDLL, CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_size_t, c_void_p, string_at
from functools import cache
from typing import Any, Final, NamedTuple

from google.protobuf.message import Message

from ponton_bridge.model.errors import HostError

from . import protos

VERSION: Final = b"0.5.2"  # whose functions these are
FILE: Final = "neonize-linux-{}.so"
MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
LOG_LEVEL: Final = b"ERROR"  # anything else, '' too, has Go format and pass every debug line

_Text = CFUNCTYPE(None, c_void_p, c_void_p)
_Event = CFUNCTYPE(None, c_void_p, c_void_p, c_int, c_int)
_Log = CFUNCTYPE(None, c_void_p, c_int)


class _Bytes(Structure):
    """What Go returns for a protobuf; both the struct and what it points to are ours to free."""

    _fields_ = [("data", c_void_p), ("size", c_size_t)]


class Callbacks(NamedTuple):
    """Called from Go's threads; they must not raise and should not take long: Go waits for each.

    `code` gets the text of a QR code, `status` how linking by QR ended, `event` the number and bytes of an event.
    """

    code: Callable[[str], None]
    status: Callable[[str], None]
    event: Callable[[int, bytes], None]


# name -> (result, arguments behind the client's id): "bytes" and "text" are freed after copying.
_BUFFER = (c_char_p, c_int)
_FUNCTIONS: Final[dict[str, tuple[str, tuple[Any, ...]]]] = {
    "SendMessage": ("bytes", (*_BUFFER, *_BUFFER)),
    "PairPhone": ("bytes", _BUFFER),
    "IsOnWhatsApp": ("bytes", (c_char_p,)),
    "GetAllContacts": ("bytes", ()),
    "GetJoinedGroups": ("bytes", ()),
    "GetMe": ("bytes", ()),
    "GetLIDFromPN": ("bytes", _BUFFER),
    "GetPNFromLID": ("bytes", _BUFFER),
    "SendChatPresence": ("text", (*_BUFFER, c_int, c_int)),
    "SendPresence": ("text", (c_char_p,)),
    "SubscribePresence": ("text", _BUFFER),
    "MarkRead": ("text", (c_char_p, c_int, *_BUFFER, *_BUFFER, c_char_p)),
    "Logout": ("text", ()),
    "Disconnect": ("", ()),
    "Stop": ("", ()),
}
_RUN: Final = (
    *(c_char_p, c_char_p, *_BUFFER, c_int, c_char_p),  # database, client, jid, new device, log level
    *(_Text, _Text, _Event, _Log),
    *(*_BUFFER, *_BUFFER, *_BUFFER, c_void_p),  # subscribed events, device props, pairing by phone, proxy
)


class Library:
    """The loaded library. One per process; any thread may call."""

    def __init__(self, path: str) -> None:
        self._go = CDLL(path)
        self._go.GetVersion.restype = c_char_p
        if (found := self._go.GetVersion()) != VERSION:
            raise HostError(f"The WhatsApp library has version {found.decode()}, not {VERSION.decode()}.")
        self._go.FreeString.argtypes, self._go.FreeString.restype = [c_void_p], None
        self._go.FreeBytesStruct.argtypes, self._go.FreeBytesStruct.restype = [POINTER(_Bytes)], None
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._go, name)
            function.argtypes = [c_char_p, *arguments]
            function.restype = {"bytes": POINTER(_Bytes), "text": c_void_p, "": None}[result]
        self._go.Neonize.argtypes, self._go.Neonize.restype = list(_RUN), c_void_p
        # COMPAT: Go calls back after `run` has returned (a stopped client still logs its errors), and a collected
        # callback is a segmentation fault; so they are kept for good, some 400 bytes a session. May go with neonize.
        self._kept: list[object] = []

    def _text(self, pointer: int | None) -> str:
        if not pointer:
            return ""
        try:
            return string_at(pointer).decode("utf-8", "replace")
        finally:
            self._go.FreeString(pointer)

    def _bytes(self, pointer: Any) -> bytes:  # noqa: ANN401 - a ctypes pointer
        if not pointer:
            return b""
        try:
            held = pointer.contents
            return string_at(held.data, held.size) if held.data else b""
        finally:
            self._go.FreeBytesStruct(pointer)

    def run(self, database: str, client: bytes, subscribed: bytes, props: bytes, callbacks: Callbacks) -> str:
        """Connect and stay until `stop`; gives why it ended, '' when it was stopped."""
        code = _Text(lambda _id, text: callbacks.code(string_at(text).decode("utf-8", "replace")))
        status = _Text(lambda _id, text: callbacks.status(string_at(text).decode("utf-8", "replace")))
        event = _Event(lambda _id, data, size, number: callbacks.event(number, string_at(data, size) if data else b""))
        log = _Log(lambda _data, _size: None)
        self._kept.append((code, status, event, log))
        ended = self._go.Neonize(
            *(database.encode(), client, b"", 0, 0, LOG_LEVEL),
            *(code, status, event, log),
            *(subscribed, len(subscribed), props, len(props), b"", 0, None),
        )
        return self._text(ended)

    def disconnect(self, client: bytes) -> None:
        """Close the connection of a known client; what it has taken in before is still told."""
        self._go.Disconnect(client)

    def stop(self, client: bytes) -> None:
        """Disconnect a client and forget it; harmless for an unknown one."""
        self._go.Stop(client)

    def ask(self, name: str, client: bytes, *arguments: bytes | int) -> bytes:
        """Call a function that answers with a protobuf."""
        return self._bytes(getattr(self._go, name)(client, *arguments))

    def tell(self, name: str, client: bytes, *arguments: bytes | int) -> str:
        """Call a function that answers with an error text, '' for success."""
        return self._text(getattr(self._go, name)(client, *arguments))


def sized(message: Message) -> tuple[bytes, int]:
    """Write a protobuf as the library takes it: bytes and their number."""
    data = message.SerializeToString()
    return data, len(data)


@cache
def library() -> Library:
    """Load the library, once; HostError when there is none for this machine."""
    machine = MACHINES.get(os.uname().machine)
    path = protos.folder() / FILE.format(machine)
    if machine is None or not path.exists():
        raise HostError("The WhatsApp library (neonize) has no build for this machine.")
    return Library(str(path))
