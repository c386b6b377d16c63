"""The experiment behind docs/adr/0001: how a code that changes looks in Gajim and Dino.

`python -m tests.clients experiment FOLDER` repeats it (for a newer client, say): it prints which codes can be
read from the screen after each shape and leaves a screenshot of each.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.clients import layout, pictures, shapes
from tests.clients.lab import Lab
from tests.clients.programs import Desktop, Dino, Gajim
from tests.clients.stand_in import StandIn, sample_code

SIZE = (1000, 1000)
_WIDTH = 340  # pixels of a screenshot for the page
_EXPIRED = "The code above has expired."
_QUIET = 4.0  # seconds in which a client has fetched and drawn a picture; measured: under one


class Trial:
    """One client in front of one gateway: shapes in, what can be read from the screen out."""

    def __init__(self, gateway: StandIn, client: Desktop) -> None:
        self._gateway = gateway
        self._client = client
        self._owner = f"{client.user.jid}/{client.user.resource}"

    async def picture(self, name: str, *extra: str, kind: str = "chat") -> str:
        """Send a code as an image message and let the client fetch and draw it; returns the message's id."""
        picture = await self._gateway.upload(pictures.code_png(sample_code(name)))
        ident = self._gateway.tell(self._owner, *extra, shapes.image(picture), shapes.NO_ARCHIVE, kind=kind)
        await self._client.screen.settled(quiet=_QUIET)
        return ident

    def text(self, text: str, *extra: str) -> str:
        """Send a text; returns the message's id."""
        return self._gateway.tell(self._owner, *extra, shapes.body(text), shapes.NO_ARCHIVE)

    def retract(self, ident: str) -> None:
        """Retract a message, with a sentence for clients that do not know how."""
        self._gateway.tell(self._owner, shapes.retracts(ident, _EXPIRED), shapes.NO_ARCHIVE)


async def corrected_by_picture(trial: Trial) -> None:
    """A picture, corrected (XEP-0308) by another picture."""
    first = await trial.picture("first")
    await trial.picture("second", shapes.replaces(first))


async def corrected_by_text(trial: Trial) -> None:
    """A picture, corrected to a text, and a new picture."""
    first = await trial.picture("first")
    trial.text(_EXPIRED, shapes.replaces(first))
    await trial.picture("second")


async def retracted(trial: Trial) -> None:
    """A picture, retracted (XEP-0424 with a fallback body), and a new picture."""
    trial.retract(await trial.picture("first"))
    await trial.picture("second")


async def text_corrected(trial: Trial) -> None:
    """A text, corrected by another text."""
    trial.text("after", shapes.replaces(trial.text("before")))


async def other_types(trial: Trial) -> None:
    """Pictures in messages of type headline and normal."""
    await trial.picture("headline", kind="headline")
    await trial.picture("normal", kind="normal")


TRIALS: tuple[Callable[[Trial], Awaitable[None]], ...] = (
    corrected_by_picture,
    corrected_by_text,
    retracted,
    text_corrected,
    other_types,
)


async def run(folder: Path) -> None:
    """All trials in both clients, each with a fresh user, so with an empty conversation."""
    pairs = [(kind, trial) for kind in (Gajim, Dino) for trial in TRIALS]
    users = [layout.User(f"user{number}") for number in range(len(pairs))]
    async with Lab.open({user: {layout.GATEWAY: "WhatsApp"} for user in users}) as lab:
        gateway = await lab.stand_in()
        for user, (kind, trial) in zip(users, pairs, strict=True):
            client = await lab.desktop(kind, user, SIZE)
            await lab.signed_in(user)
            gateway.tell(
                f"{user.jid}/{user.resource}", shapes.body("How to scan, in a message of its own."), shapes.NO_ARCHIVE
            )
            await client.fill()
            await client.open_chat(layout.GATEWAY)
            await trial(Trial(gateway, client))
            png = await client.screen.settled()
            picture = pictures.small(png, box=(kind.pane, 40, *SIZE), width=_WIDTH)
            (folder / f"{kind.name}-{trial.__name__}.png").write_bytes(picture)
            names = [code.split(",")[1] for code in pictures.read_codes(png)]
            print(f"{kind.name:6} {trial.__name__:22} codes on the screen: {', '.join(names) or 'none'}")  # noqa: T201
