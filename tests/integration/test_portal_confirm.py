"""Logging in by a yes in the owner's own client (XEP-0070): at the pages, and with a real client on a real Prosody."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from ponton_bridge.model import xml
from ponton_bridge.model.errors import HostError
from ponton_bridge.model.xml import el
from ponton_bridge.xmpp.stream import NotOpen, ShardStream
from ponton_operator.plan.secrets import front_desk_secret
from ponton_operator.selfservice import words
from ponton_operator.selfservice.xmpp.confirm import HTTP_AUTH
from ponton_operator.selfservice.xmpp.desk import Desk
from ponton_operator.selfservice.xmpp.events import DeskEvent
from ponton_operator.selfservice.xmpp.stream import DeskSettings, serve
from tests.harness.prosody import Prosody, running_prosody, until
from tests.harness.redis import running_redis
from tests.harness.xmpp import Client, logged_in
from tests.integration.portal_bed import BOB, Bed, Browser, browser, portal_bed
from tests.unit.desk_world import ALICE, DOMAIN

SHOWN = re.compile(r'id="transaction">([^<]+)<')


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """A portal on a Redis of its own."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis) as made:
        yield made


async def asked(bed: Bed, jid: str = ALICE) -> Browser:
    """Open a browser whose page waits for the code or the yes."""
    person = browser(bed)
    await person.get("/login")
    assert 303 == await person.post("/login", jid=jid)
    assert 200 == await person.get("/login/code")
    return person


def shown(person: Browser) -> str:
    """Give the transaction that the page shows."""
    found = SHOWN.search(person.text)
    assert found
    return found[1]


def answer(bed: Bed, transaction: str, owner: str = ALICE, *, yes: bool = True) -> None:
    """Let an owner's client answer."""
    error = el("error", xml.CLIENT, el("not-authorized", xml.STANZA_ERROR), type_="auth")
    parts = [el("confirm", HTTP_AUTH, id_=transaction), *([] if yes else [error])]
    bed.confirms.hear(owner, el("message", xml.CLIENT, *parts, type_=None if yes else "error"))


async def test_a_yes_logs_in_the_browser_that_asked_and_no_other(bed: Bed) -> None:
    """The page and the message show the same; another browser with a login of its own under way is not touched."""
    mine, other = await asked(bed), await asked(bed)
    ask, _ = bed.said
    found = ask.find(f"{{{HTTP_AUTH}}}confirm")
    assert found is not None
    assert shown(mine) == found.get("id")
    assert shown(mine) in (ask.findtext("{jabber:client}body") or "")
    assert shown(mine) != shown(other)
    assert [204, 204] == [await person.get("/login/answer") for person in (mine, other)]
    before = mine.cookie
    answer(bed, shown(mine))
    assert [200, 204] == [await person.get("/login/answer") for person in (mine, other)]
    assert 303 == await mine.get("/login/code")
    assert "/account" == mine.headers["Location"]
    assert before != mine.cookie
    assert 200 == await mine.get("/account")
    assert 200 == await other.get("/login/code")
    assert 303 == await other.get("/account")
    assert '"way":"confirmed"' in bed.log.getvalue()


async def test_a_yes_is_good_once(bed: Bed) -> None:
    """With the cookie from before the login neither the yes nor the code opens anything any more."""
    person = await asked(bed)
    old, token, code = person.cookie, person.token, bed.codes()[-1]
    answer(bed, shown(person))
    await person.get("/login/code")
    thief = browser(bed)
    thief.plant(old)
    assert 303 == await thief.get("/login/code")
    assert "/login" == thief.headers["Location"]
    assert 400 == await thief.ask("POST", "/login/code", {"token": token, "code": code})
    assert 303 == await thief.get("/account")


async def test_a_no_ends_the_try_with_a_sentence(bed: Bed) -> None:
    """The code of that try is worth nothing either; the owner can begin anew."""
    person = await asked(bed)
    code = bed.codes()[-1]
    answer(bed, shown(person), yes=False)
    assert 200 == await person.get("/login/answer")
    assert 400 == await person.get("/login/code")
    assert words.SAID_NO in person.text
    assert 400 == await person.post("/login/code", code=code)
    assert 303 == await person.get("/account")
    await person.log_in()


async def test_the_code_works_beside_it(bed: Bed) -> None:
    """Whose client does not ask, types; a yes that comes later finds nothing."""
    person = await asked(bed)
    transaction = shown(person)
    assert 400 == await person.post("/login/code", code="1")
    assert transaction == shown(person)
    assert 303 == await person.post("/login/code", code=bed.codes()[-1])
    answer(bed, transaction)
    other = await asked(bed)
    assert transaction != shown(other)
    assert 204 == await other.get("/login/answer")


async def test_nobody_answers_for_somebody_else(bed: Bed) -> None:
    """Bob's yes to Alice's transaction opens nothing, whatever he has seen."""
    person = await asked(bed)
    answer(bed, shown(person), BOB)
    assert 204 == await person.get("/login/answer")
    assert 200 == await person.get("/login/code")


async def test_strangers_see_the_same_page(bed: Bed) -> None:
    """For an address elsewhere nothing is sent, and the page waits as it does for an owner who says nothing."""
    pages = []
    for jid in (ALICE, "eve@elsewhere.net"):
        person = await asked(bed, jid)
        pages.append(person.text.replace(person.token, "").replace(shown(person), ""))
        assert 204 == await person.get("/login/answer")
    assert pages[0] == pages[1]
    assert [ALICE] == [message.get("to") for message in bed.said]


async def test_without_a_script_a_page_without_a_field_asks_again(bed: Bed) -> None:
    """So that nothing that is being typed is lost; it goes on by itself too."""
    person = await asked(bed)
    assert "refresh" not in person.text
    assert 'href="/login/code?wait"' in person.text
    assert 200 == await person.get("/login/code?wait")
    assert '<meta http-equiv="refresh" content="3">' in person.text
    assert 'name="code"' not in person.text
    answer(bed, shown(person))
    assert 303 == await person.get("/login/code?wait")
    assert 200 == await person.get("/account")


async def test_without_a_front_desk_the_code_is_the_way_in(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be asked was not answered; the page stays of use."""
    person = await asked(bed)

    async def away(*_: object) -> None:
        raise HostError(words.DESK_AWAY)

    monkeypatch.setattr(bed.portal.door, "command", away)
    assert 204 == await person.get("/login/answer")
    assert 200 == await person.get("/login/code")
    assert 303 == await person.post("/login/code", code=bed.codes()[-1])


async def test_who_has_begun_nothing_is_told_to_look_again(bed: Bed) -> None:
    """A page whose login has ended, in another tab or by time, does not wait for ever."""
    person = browser(bed)
    await person.get("/login")
    assert 200 == await person.get("/login/answer")


# ---- a real client on a real Prosody --------------------------------------------------------------------------------


class Speaker:
    """The stream of the front desk, for the portal's bed; what it is fed goes to a desk."""

    def __init__(self, prosody: Prosody) -> None:
        settings = DeskSettings(
            domain=DOMAIN, owner="", epoch=3, instance="d",
            secret=front_desk_secret(prosody.secrets.master, DOMAIN, 3),
            host="127.0.0.1", port=prosody.ports.shards, ca=None,
        )  # fmt: skip
        self.stream = ShardStream(settings, ("", 0), covered=lambda _seq: None, random=random.random)

    def __call__(self, stanza: Element) -> bool:
        """Put a stanza on the stream, and say whether that could be."""
        try:
            self.stream.write(stanza)
        except NotOpen:
            return False
        return True


@asynccontextmanager
async def desk_of(bed: Bed, speaker: Speaker) -> AsyncIterator[None]:
    """Run the front desk of a bed on its stream."""
    events: list[DeskEvent] = []

    def send(stanza: Element) -> None:
        assert speaker(stanza)

    desk = Desk(DOMAIN, bed.portal.service, send, confirms=bed.confirms)
    running = asyncio.create_task(serve(speaker.stream, desk, lambda event, _error: events.append(event)))
    try:
        await until(lambda: DeskEvent.STREAM_OPENED in events, timeout=30, what="the stream")
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def question(client: Client, transaction: str) -> Element:
    """Wait for the question of a transaction; gives it as XML."""
    message = await client.message(lambda m: transaction in m["body"], timeout=30)
    assert DOMAIN == message["from"].bare
    found: Element | None = message.xml.find(f"{{{HTTP_AUTH}}}confirm")
    assert found is not None
    assert (transaction, "GET") == (found.get("id"), found.get("method"))
    return found


def reply(client: Client, confirm: Element, *, yes: bool) -> None:
    """Answer as clients do: the question back, as a message or as an error."""
    message = client.make_message(mto=DOMAIN)
    message.xml.append(confirm)
    if not yes:
        message["type"] = "error"
        message.xml.append(el("error", xml.CLIENT, el("not-authorized", xml.STANZA_ERROR), type_="auth"))
    message.send()


async def turned(person: Browser, status: int) -> None:
    """Wait until the page goes on, and see how."""

    async def again() -> bool:
        return 200 == await person.get("/login/answer")

    await until(again, timeout=30, what="the answer")
    assert status == await person.get("/login/code")


async def test_a_real_client_agrees_and_refuses(tmp_path: Path) -> None:
    """Asked over XMPP, a yes logs in the browser that asked, a no ends the other's try; neither is taken for chat."""
    async with (
        running_prosody(
            tmp_path / "prosody", domain="example.org", component=DOMAIN, users={"alice": "word", "bob": "word"}
        ) as prosody,
        running_redis(tmp_path / "redis") as redis,
        logged_in(prosody, "alice", "word") as alice,
        logged_in(prosody, "bob", "word") as bob,
    ):
        speaker = Speaker(prosody)
        async with portal_bed(redis, speak=speaker) as bed, desk_of(bed, speaker):
            first, second = await asked(bed), await asked(bed)
            asks = [await question(alice, shown(person)) for person in (first, second)]
            reply(bob, asks[0], yes=True)  # has no effect, and no answer
            assert 204 == await first.get("/login/answer")
            reply(alice, asks[0], yes=True)
            await turned(first, 303)
            assert 200 == await first.get("/account")
            assert ALICE in first.text
            reply(alice, asks[1], yes=False)
            await turned(second, 400)
            assert words.SAID_NO in second.text
            alice.say(DOMAIN, "status")
            await alice.message(lambda m: words.NOT_REGISTERED in m["body"], timeout=30)
            heard = [body for body in alice.bodies(DOMAIN) if "is your code" not in body]
            assert [words.NOT_REGISTERED] == heard  # nothing was said to the answers themselves
            assert [] == [message["body"] for message in bob.messages if message["body"]]
