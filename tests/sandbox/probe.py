"""A test's hand inside the real client: drives an unmodified neonize by JSON lines, in a process of its own.

Started by `probing.Probe` through the launcher. Reads one call a line on standard input and writes one answer or
event a line on the descriptor that standard output was; the Go library's own prints go to standard error.

    {"id": 1, "client": "a", "call": "send_message", "args": [{"jid": "33612@s.whatsapp.net"}, "hello"]}
    {"id": 1, "result": {"ID": "3EB0..."}}
    {"client": "a", "event": "Connected", "data": {}}
"""

import contextlib
import json
import os
import sys
import threading
from pathlib import Path
from typing import IO, Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from neonize.client import NewClient
from neonize.events import INT_TO_EVENT
from neonize.proto.Neonize_pb2 import JID
from neonize.utils import enum as enums
from neonize.utils.log import log as client_log

from tests.sandbox import node

# Options ride in on the database name: three times the throughput, and no "database is locked".
STORE = "{}?_foreign_keys=on&_journal_mode=WAL&_synchronous=NORMAL&_busy_timeout=10000&_x="


CHANGES_TABLE = {"start", "stop"}
SETTLED = 1.0  # seconds after which a started client that has said nothing is in neonize's table all the same


class Probe:
    """All clients of one child process, by name.

    COMPAT: neonize 0.5.2 keeps its clients in a Go map without a lock, and Go ends a process that writes to a map
    while another thread uses it. So nothing else begins while a client is added or taken out. May go when it locks.
    """

    def __init__(self, folder: Path, answers: IO[str]) -> None:
        self.folder, self._answers = folder, answers
        self.clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._table = threading.Lock()  # held while neonize's table of clients changes

    def say(self, **line: object) -> None:
        """Write one line to the parent."""
        with self._lock:
            self._answers.write(json.dumps(line, default=_plain) + "\n")
            self._answers.flush()

    def start(self, name: str, store: str = "", jid: JID | None = None, *, new_device: bool = False) -> None:
        """Make a client on a store of its own (or the named file) and connect it; returns once it has said something.

        A store with a linked device resumes it; of several devices `jid` chooses, and `new_device` adds one.
        """
        database = STORE.format(self.folder / (store or f"{name}.db"))
        client = NewClient(database, uuid=f"{name}-{os.urandom(4).hex()}", jid=jid, new_device=new_device)
        self.clients[name] = client
        spoken = threading.Event()
        for code, kind in INT_TO_EVENT.items():
            if code:
                client.event(kind)(self._teller(name, kind.DESCRIPTOR.name, spoken))
        client.qr(lambda _client, data: self._tell(name, "QR", data.decode(), spoken))
        threading.Thread(target=self._connect, args=(name, client, spoken), daemon=True).start()
        spoken.wait(SETTLED)

    def _connect(self, name: str, client: Any, spoken: threading.Event) -> None:  # noqa: ANN401 - neonize is untyped
        end: dict[str, str] = {}
        try:
            client.connect()
        except Exception as error:  # noqa: BLE001 - whatever ends the client is told
            end = {"error": f"{type(error).__name__}: {error}"}
        self._tell(name, "Returned", end, spoken)

    def _teller(self, name: str, event: str, spoken: threading.Event) -> Any:  # noqa: ANN401 - a callback of neonize
        return lambda _client, message: self._tell(name, event, message, spoken)

    def _tell(self, name: str, event: str, data: object, spoken: threading.Event) -> None:
        self.say(client=name, event=event, data=data)
        spoken.set()

    def call(self, line: dict[str, Any]) -> None:
        """Serve one request: `start`, or any method or property of a client (dotted: of its parts)."""
        with self._table:
            if line["call"] in CHANGES_TABLE:
                self._perform(line)
                return
        self._perform(line)

    def _perform(self, line: dict[str, Any]) -> None:
        try:
            arguments = [_argument(value) for value in line.get("args", [])]
            options = {name: _argument(value) for name, value in line.get("kwargs", {}).items()}
            target: Any = self if line["call"] == "start" else self.clients[line["client"]]
            for part in line["call"].split("."):
                target = getattr(target, part)
            if target == self.start:
                arguments.insert(0, line["client"])
            result = target(*arguments, **options) if callable(target) else target
        except Exception as error:  # noqa: BLE001 - the parent decides what an error means
            self.say(id=line["id"], error=f"{type(error).__name__}: {error}")
        else:
            self.say(id=line["id"], result=result)

    def serve(self, requests: IO[str]) -> None:
        """Serve requests, each on a thread of its own, until the parent closes the pipe."""
        for request in requests:
            threading.Thread(target=self.call, args=(json.loads(request),), daemon=True).start()


def _argument(value: Any) -> Any:  # noqa: ANN401 - JSON in, what neonize takes out
    """Addresses come as {"jid": text}, members of neonize's enumerations as {"enum": "Presence.AVAILABLE"}."""
    if isinstance(value, dict) and "jid" in value:
        jid = node.JID.parse(value["jid"])
        return JID(User=jid.user, Device=jid.device, Integrator=0, RawAgent=0, Server=jid.server, IsEmpty=False)
    if isinstance(value, dict) and "enum" in value:
        kind, _, member = value["enum"].partition(".")
        return getattr(enums, kind)[member]
    return value


def _plain(value: object) -> object:
    if isinstance(value, Message):
        return MessageToDict(value, preserving_proto_field_name=True)
    if isinstance(value, bytes):
        return value.hex()
    with contextlib.suppress(TypeError):
        return list(value)  # type: ignore[call-overload] # protobuf's repeated fields
    return str(value)


def main() -> None:
    """Serve on the standard streams; ends without waiting for Go."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    client_log.setLevel("DEBUG")
    probe = Probe(Path(sys.argv[1]), answers)
    probe.say(event="Ready", client="", data=None)
    probe.serve(sys.stdin)
    os._exit(0)


if __name__ == "__main__":
    main()
