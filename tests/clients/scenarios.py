"""What an owner does and sees, in three real clients, with screenshots: `python -m tests.clients`.

Each scenario goes the whole way by the client's own means: find or address the gateway, register, scan the code that
is on the screen (it is read from the pixels), talk with a contact. It fails with LabError where that stops working.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.clients import pictures, programs, teletype
from tests.clients.backend import Backend
from tests.clients.lab import Lab
from tests.clients.layout import GATEWAY, User
from tests.clients.programs import Desktop, Dino, Gajim

SIZE = (960, 680)  # pixels of the screen of a graphical client
COLUMNS, ROWS = 100, 30
REGISTER_BUTTON = (530, 365)  # of Gajim's registration window, which has a fixed size

HELLO = "Hello from my phone! Shall we meet at six?"
REPLY = "Yes, see you at the pier."
LETTERS = r"\b([1-9A-HJ-NP-TV-Z]{4}-[1-9A-HJ-NP-TV-Z]{4})\b"  # WhatsApp's own alphabet


@dataclass(frozen=True)
class Album:
    """Where the screenshots of one client go."""

    folder: Path
    client: str

    def keep(self, name: str, png: bytes) -> None:
        """Keep a screenshot as CLIENT-NAME.png, small."""
        (self.folder / f"{self.client}-{name}.png").write_bytes(pictures.small(png))


async def gajim(lab: Lab, backend: Backend, user: User, album: Album) -> None:
    """Gajim: find the gateway among the services, register in its form, scan, talk."""
    client = await _started(lab, Gajim, user)
    screen = client.screen
    services = await client.discover()
    await screen.settled()
    await screen.press(services, "Tab", "Tab", "Tab", "End")  # the last service; Transports comes last
    album.keep("1-discovery", await screen.settled())
    await screen.press(services, "alt+g")
    form = await screen.window("^Register$")
    album.keep("2-registration", await screen.settled())
    await screen.click(form, *REGISTER_BUTTON)
    await screen.window("^Registration successful$")
    await screen.close("^Registration successful$")
    await screen.close("^Browsing ")
    await _link_and_talk(client, backend, album)


async def dino(lab: Lab, backend: Backend, user: User, album: Album) -> None:
    """Dino has no registration: write to the gateway, scan, talk."""
    client = await _started(lab, Dino, user)
    await client.open_chat(GATEWAY)
    await client.screen.settled()
    await client.screen.type("register", enter=True)
    await _link_and_talk(client, backend, album)


async def profanity(lab: Lab, backend: Backend, user: User, album: Album) -> None:
    """Terminals show no picture: register by chat with the phone's number, type the letters, talk."""
    terminal = await programs.profanity(lab.root, user, COLUMNS, ROWS)

    async def keep(name: str) -> None:
        album.keep(name, teletype.draw(await terminal.screen(colours=True), COLUMNS))

    await terminal.enter(f"/msg {GATEWAY}")
    await terminal.enter("help")
    await terminal.wait_for(f"(?s){GATEWAY}: .*[Rr]egister")
    await keep("1-help")
    await terminal.enter(f"register {await backend.number(user)}")
    text = await terminal.wait_for(LETTERS)
    await keep("2-code")
    letters = re.findall(LETTERS, text)[-1]
    await backend.type_in(user, letters)
    contact = await backend.contact(user)
    await backend.say(user, HELLO)
    await terminal.enter(f"/msg {contact}")
    await terminal.wait_for(re.escape(HELLO))
    await terminal.enter(REPLY)
    await backend.heard(user, REPLY)
    await keep("3-conversation")
    await terminal.stop()


async def _started(lab: Lab, kind: type[programs.AnyDesktop], user: User) -> programs.AnyDesktop:
    client = await lab.desktop(kind, user, SIZE)
    await lab.signed_in(user)
    await client.fill()
    await client.screen.settled()
    return client


async def _link_and_talk(client: Desktop, backend: Backend, album: Album) -> None:
    """From the code on the screen to a message each way."""
    screen, user = client.screen, client.user
    await client.open_chat(GATEWAY)
    codes = await screen.reads()
    album.keep("3-code", await screen.settled())
    await backend.scan(user, codes[-1])
    album.keep("4-linked", await screen.settled())
    await backend.say(user, HELLO)
    await client.open_chat(await backend.contact(user))
    await screen.settled()
    await screen.type(REPLY, enter=True)
    await backend.heard(user, REPLY)
    album.keep("5-conversation", await screen.settled())


ALL = {"gajim": gajim, "dino": dino, "profanity": profanity}


async def run(folder: Path, *, product: bool) -> None:
    """Every scenario, each with a user of its own; progress goes to standard output."""
    users = {name: User(owner) for name, owner in zip(ALL, ("alice", "bob", "carol"), strict=True)}
    async with Lab.open({user: {} for user in users.values()}) as lab:
        backend = await (lab.product() if product else lab.stand_in())
        for name, scenario in ALL.items():
            await scenario(lab, backend, users[name], Album(folder, name))
            print(f"{name}: seen from the first contact to a conversation")  # noqa: T201
