"""A bare neonize client in a process of its own: what latency is without the bridge. Started by `tests.bench.latency`.

    python -m tests.bench.bare DATABASE

Writes {"qr": text}, {"connected": true} and {"at": seconds, "text": text} for each message, one JSON a line, to what
standard output was; sends {"to": number, "text": text} for each line of standard input. As little as possible is done
around the library, and its store has the options that our driver uses, so that the difference is the bridge's.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

from neonize.client import NewClient
from neonize.events import ConnectedEv, MessageEv
from neonize.proto.Neonize_pb2 import JID

from ponton_bridge.whatsapp.neonize_driver.driver import OPTIONS


def main(database: Path) -> None:
    """Link, then pass messages both ways until the parent closes the pipe."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # the library prints
    lock = threading.Lock()

    def say(**line: object) -> None:
        with lock:
            answers.write(json.dumps(line) + "\n")
            answers.flush()

    client = NewClient(f"{database}{OPTIONS}", uuid="bare")

    def message(_client: object, event: Any) -> None:  # noqa: ANN401 - neonize is untyped
        at = time.time()
        say(at=at, text=event.Message.conversation or event.Message.extendedTextMessage.text)

    client.event(MessageEv)(message)
    client.event(ConnectedEv)(lambda _client, _event: say(connected=True))
    client.qr(lambda _client, text: say(qr=text.decode()))
    threading.Thread(target=client.connect, daemon=True).start()
    for line in sys.stdin:
        order = json.loads(line)
        to = JID(User=order["to"], Device=0, Integrator=0, RawAgent=0, Server="s.whatsapp.net", IsEmpty=False)
        client.send_message(to, order["text"])
    os._exit(0)  # without waiting for Go


if __name__ == "__main__":
    main(Path(sys.argv[1]))
