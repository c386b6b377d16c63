"""`python -m tests.demo.client FOLDER`: a chat client of a few lines, for those who have no other at hand.

A line is sent to the one that was spoken to last; `/to JID` changes that. Everything that arrives is printed.
"""

import argparse
import asyncio
import json
import ssl
import sys
from pathlib import Path

from slixmpp import JID, ClientXMPP
from slixmpp.stanza import Message, Presence


class Chat(ClientXMPP):
    """Prints what arrives."""

    def __init__(self, jid: str, password: str, ca: Path, gateway: str) -> None:
        super().__init__(jid, password)
        self.ssl_context = ssl.create_default_context(cafile=str(ca))
        self.enable_direct_tls = False
        self.to = gateway
        self.add_event_handler("session_start", self._start)
        self.add_event_handler("message", self._message)
        self.add_event_handler("presence", self._presence)

    async def _start(self, _event: object) -> None:
        self.send_presence()
        await self.get_roster()
        print(f"Connected. You write to {self.to}; try: register")  # noqa: T201

    def _message(self, message: Message) -> None:
        if message["body"]:
            print(f"<{message['from'].bare}> {message['body']}")  # noqa: T201

    def _presence(self, presence: Presence) -> None:
        if presence["from"].bare != self.boundjid.bare:
            print(f"* {presence['from'].bare} {presence['type']} {presence['status']}")  # noqa: T201

    def line(self) -> None:
        """Send what was typed."""
        text = sys.stdin.readline()
        if not text:
            self.disconnect()
        elif text.startswith("/to "):
            self.to = text[4:].strip()
        elif text.strip():
            self.send_message(mto=JID(self.to), mbody=text.rstrip("\n"), mtype="chat")


async def run(folder: Path) -> None:
    """Log in as the demo's user and chat until end of input."""
    login = json.loads(await asyncio.to_thread((folder / "login.json").read_text))
    chat = Chat(login["jid"], login["password"], folder / "prosody" / "ca" / "ca.crt", login["gateway"])
    asyncio.get_running_loop().add_reader(sys.stdin, chat.line)
    chat.connect("127.0.0.1", login["port"])
    await chat.disconnected


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the demo's folder, as it prints it")
    asyncio.run(run(parser.parse_args().folder))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
