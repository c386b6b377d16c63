"""A stand-in for the core: speaks its frames and does as it is told, so that the driver's half can be tested alone.

Run as a program with the core's arguments; `make` writes it where a driver can start it. What it does is in the store's
file: a JSON list of words. `hello` greets, `ignore` answers no call, `exit N` ends, `echo` says each call as an event.
"""

import json
import socket
import stat
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def make(folder: Path, *script: str) -> tuple[Path, Path]:
    """Write program and store; gives both."""
    program, store = folder / "ponton-whatsapp", folder / "whatsapp.db"
    lines = (f"#!{sys.executable}", "import sys", f"sys.path.insert(0, {str(ROOT)!r})")
    program.write_text("\n".join([*lines, "from tests.unit import fake_core", "fake_core.main()"]))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    store.write_text(json.dumps(script))
    return program, store


class Fake:
    """The program's side of the socket."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._stream = self._socket.makefile("rwb")
        self._events = 0

    def event(self, kind: str, *, ack: bool = False, **fields: Any) -> None:  # noqa: ANN401 - JSON
        """Say an event."""
        self._events += 1
        self.say({"e": kind, "n": self._events, "d": fields} | ({"ack": True} if ack else {}))

    def say(self, frame: dict[str, Any]) -> None:
        """Say a frame."""
        self.write(json.dumps(frame).encode())

    def write(self, data: bytes) -> None:
        """Write a frame of any content."""
        self._stream.write(len(data).to_bytes(4, "big") + data)
        self._stream.flush()

    def hear(self) -> dict[str, Any] | None:
        """Wait for a frame; None at the end."""
        head = self._stream.read(4)
        if len(head) < 4:
            return None
        return dict(json.loads(self._stream.read(int.from_bytes(head, "big"))))


def main() -> None:
    """Play the script, then answer calls."""
    arguments = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
    script = json.loads(Path(arguments["-store"]).read_text())
    fake = Fake(int(arguments["-fd"]))
    for word in script:
        if word.startswith("exit "):
            raise SystemExit(int(word.removeprefix("exit ")))
        if word == "hello":
            fake.event("Hello")
        if word == "nonsense":
            fake.write(b"abc")
    while (frame := fake.hear()) is not None:
        if "echo" in script:
            fake.event("Heard", frame=frame)
        if "ignore" not in script and "c" in frame:
            answer(fake, frame)


def answer(fake: Fake, frame: dict[str, Any]) -> None:
    """Do what a call is named after; any other gives back `v`."""
    match frame["c"]:
        case "fail":
            fake.say({"r": frame["i"], "ok": False, "err": "no"})
        case "die":
            raise SystemExit(2)
        case "never":
            pass
        case _:
            fake.say({"r": frame["i"], "ok": True, "v": frame.get("v")})
