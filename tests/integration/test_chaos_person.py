"""The chaos client on a real Prosody: survives kill -9 and restarts, loses nothing, finds all in the archive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos.person import PAGE, Person
from tests.harness.prosody import Prosody, running_prosody, until


@asynccontextmanager
async def online(*people: Person) -> AsyncIterator[None]:
    """Keep them online until the block ends."""
    tasks = [asyncio.create_task(person.run()) for person in people]
    try:
        await until(lambda: all(person.client for person in people), what="clients online")
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A private Prosody with two users."""
    async with running_prosody(tmp_path / "prosody", users={"ann": "pw", "bob": "pw"}) as server:
        yield server


async def test_sends_again_what_was_not_acknowledged(prosody: Prosody) -> None:
    """What is written while the server is killed, away or stopped arrives under its one id, in order."""
    ann, bob = Person(prosody, "ann", "pw"), Person(prosody, "bob", "pw")
    async with online(ann, bob):
        ids = [ann.say(bob.jid, "0")]
        await until(lambda: not ann.outstanding, what="the acknowledgement")
        ids.append(ann.say(bob.jid, "1"))
        await prosody.kill()
        ids.append(ann.say(bob.jid, "2"))
        assert {*ids[2:]} <= {*ann.outstanding}
        await prosody.start()
        await until(lambda: not ann.outstanding, timeout=30, what="the acknowledgements after a kill")
        await prosody.stop()
        ids.append(ann.say(bob.jid, "3"))
        await prosody.start()
        await until(lambda: not ann.outstanding, timeout=30, what="the acknowledgements after a restart")
        await until(lambda: bob.logins == 3, timeout=30, what="bob's third login")
        shown = {one.message_id: one.text for _, one in await bob.view()}
        assert list(zip(ids, "0123", strict=True)) == list(shown.items())


async def test_reads_a_long_archive(prosody: Prosody) -> None:
    """The view holds each message once, in order, over more than one page, what came live included."""
    ann, bob = Person(prosody, "ann", "pw"), Person(prosody, "bob", "pw")
    texts = [f"text {n}" for n in range(PAGE + 10)]
    async with online(ann):
        for text in texts[:-3]:
            ann.say(bob.jid, text)
        async with online(bob):
            for text in texts[-3:]:
                ann.say(bob.jid, text)
            await until(lambda: any(one.text == texts[-1] for one in bob.live()), timeout=30, what="the last text")
            view = await bob.view()
    assert texts == [one.text for _, one in view]
    assert {one.stanza_id for _, one in view} == {key for key, _ in view}


async def test_hears_of_errors(prosody: Prosody) -> None:
    """A message to nobody comes back, under its id."""
    ann = Person(prosody, "ann", "pw")
    async with online(ann):
        id_ = ann.say(f"nobody@{prosody.domain}", "hello")
        await until(lambda: id_ in ann.errors(), what="the error")
        assert [] == ann.live()
