"""The pages of a passkey: what they show, what comes back to them, and what they do not take."""

import asyncio
import html
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ponton_bridge.coordination.client.shard import ShardClient
from ponton_bridge.coordination.contract import Command, Heartbeat, Keys, LiveCode, Result, Verb
from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.resources.account import account_name
from ponton_operator.selfservice import languages, passkeys, words
from tests.harness.redis import RedisServer, running_redis
from tests.integration.portal_bed import BOB, GATEWAY, Bed, Browser, browser, portal_bed
from tests.unit.desk_world import ALICE, DOMAIN
from tests.unit.test_passkey import KEY, REQUEST

PAGE = "/account/passkey"
ONCE = re.compile(r"/account/passkey/answer#([0-9a-f]{64})\.")
WAITING = LiveCode("passkey", REQUEST, 1, 1, 0.0)


class Shard:
    """Alice's shard as far as Redis goes; `refuses` is its sentence."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refuses = ""

    async def handle(self, command: Command) -> Result:
        """Keep what is asked."""
        self.asked.append((command.verb, command.argument))
        if self.refuses:
            raise OwnerError(self.refuses)
        return Result(command.id, ok=1)


@asynccontextmanager
async def shard_of(
    redis: RedisServer, reason: Reason, code: LiveCode | None, owner: str = ALICE
) -> AsyncIterator[Shard]:
    """Run one that shows this, and listens."""
    made = Shard()
    client = ShardClient(redis.url, Keys(GATEWAY, account_name(DOMAIN, owner)), 1, "i")
    if code is not None:
        client.publish_code(code)
    beat = Heartbeat(epoch=1, instance="i", time=0.0, reason=reason, since=1_795_000_000.0)
    task = asyncio.create_task(client.run(made.handle, lambda: beat))
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def live(kind: str, text: str) -> LiveCode:
    """Something that is live for ten minutes."""
    return LiveCode(kind, text, 1, 1, time.time() + 600)


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis."""
    async with running_redis(tmp_path / "redis") as made:
        yield made


@pytest.fixture
async def bed(redis: RedisServer) -> AsyncIterator[Bed]:
    """A portal on it, where Alice and Bob have accounts."""
    async with portal_bed(redis) as made:
        for jid in (ALICE, BOB):
            await made.accounts.create(jid)
        yield made


@pytest.fixture
async def shard(redis: RedisServer, bed: Bed) -> AsyncIterator[Shard]:
    """Alice's shard, of which WhatsApp wants a passkey."""
    async with shard_of(redis, Reason.WAITING_FOR_PASSKEY, live("passkey", REQUEST)) as made:
        yield made


async def shown(bed: Bed, words_: str, jid: str = ALICE) -> Browser:
    """Log in, and wait until the page says this."""
    person = await browser(bed).log_in(jid)
    async with asyncio.timeout(10):
        while words_ not in person.text:
            await asyncio.sleep(0.05)
            await person.get("/account")
    return person


async def explained(bed: Bed, jid: str = ALICE) -> tuple[Browser, str]:
    """Go to the page that explains; gives the token of its lines, too."""
    person = await shown(bed, PAGE, jid)
    assert 200 == await person.get(PAGE)
    found = ONCE.search(person.text)
    assert found
    return person, found[1]


async def notice(person: Browser) -> str:
    """What the next page says."""
    await person.get("/account")
    found = re.search(r'class="notice"[^>]*>([^<]*)<', person.text)
    return html.unescape(found[1]) if found else ""


async def test_the_page_says_how(bed: Bed, shard: Shard) -> None:
    """The state, the way to the page, the lines with the request and the way back, and those for another browser."""
    person, once = await explained(bed)
    text = html.unescape(person.text)
    assert passkeys.snippet(passkeys.request_of(WAITING), f"{bed.base}/account/passkey/answer#{once}.") in text
    assert passkeys.snippet(passkeys.request_of(WAITING)) in text
    assert re.search(r'class="seconds" data-left="5\d\d"', person.text)
    await person.get("/account")
    assert words.off_chat(TABLE[Reason.WAITING_FOR_PASSKEY].sentence) in html.unescape(person.text)
    assert 'id="do-code"' not in person.text
    assert [] == shard.asked


async def test_an_answer_that_a_browser_brings(bed: Bed, shard: Shard) -> None:
    """The page that receives it holds nothing of it; the form hands it on, and the next page says so."""
    person, once = await explained(bed)
    assert 200 == await person.get(f"{PAGE}/answer")
    assert once not in person.text
    assert 303 == await person.post(f"{PAGE}/answer", once=once, answer=KEY.packed(REQUEST))
    assert [Verb.PASSKEY] == [verb for verb, _ in shard.asked]
    assert words.PASSKEY_TAKEN == await notice(person)


async def test_a_token_is_good_once(bed: Bed, shard: Shard) -> None:
    """The same lines run twice are refused in words, with fresh ones on the same page; those work."""
    shard.refuses = "Not that one."
    person, once = await explained(bed)
    assert 400 <= await person.post(f"{PAGE}/answer", once=once, answer=KEY.packed(REQUEST))
    assert "Not that one." in person.text
    fresh = ONCE.search(person.text)
    assert fresh
    assert fresh[1] != once
    assert 400 == await person.post(f"{PAGE}/answer", once=once, answer=KEY.packed(REQUEST))
    assert words.NOT_THAT_ANSWER in html.unescape(person.text)
    assert 1 == len(shard.asked)
    shard.refuses = ""
    assert 303 == await person.post(f"{PAGE}/answer", once=fresh[1], answer=KEY.packed(REQUEST))
    assert 2 == len(shard.asked)


async def test_a_token_is_one_session_s(redis: RedisServer, bed: Bed, shard: Shard) -> None:
    """Neither another owner's, nor the same owner's elsewhere, nor none; and it ends with its request."""
    person, once = await explained(bed)
    async with shard_of(redis, Reason.WAITING_FOR_PASSKEY, live("passkey", REQUEST), BOB) as other:
        for stranger in (await explained(bed, BOB), await explained(bed)):
            for given in (once, "", "x" * 3000):
                assert 400 == await stranger[0].post(f"{PAGE}/answer", once=given, answer=KEY.packed(REQUEST))
        assert [] == other.asked
    await bed.beat(ALICE, Reason.WAITING_FOR_PASSKEY, LiveCode("passkey", REQUEST.replace("timeout", "later"), 1, 1, 0))
    assert 400 == await person.post(f"{PAGE}/answer", once=once, answer=KEY.packed(REQUEST))
    assert [] == shard.asked


async def test_a_form_from_elsewhere_is_refused(bed: Bed, shard: Shard) -> None:
    """With the right token of the lines, too: the page's own is asked for."""
    person, once = await explained(bed)
    form = {"token": "", "once": once, "answer": KEY.packed(REQUEST)}
    for path in (PAGE, f"{PAGE}/answer", f"{PAGE}/compare"):
        assert 403 == await person.ask("POST", path, form)
        assert 303 == await browser(bed).ask("GET", PAGE)
    assert [] == shard.asked


async def test_an_answer_that_is_pasted(bed: Bed, shard: Shard) -> None:
    """With the word that a chat wants, or without."""
    for line in (KEY.packed(REQUEST), f"passkey {KEY.packed(REQUEST)}"):
        person, _ = await explained(bed)
        assert 303 == await person.post(PAGE, answer=line)
        assert words.PASSKEY_TAKEN == await notice(person)
    assert 2 == len(shard.asked)


@pytest.mark.parametrize("line", ["", "no", "yes", "nonsense", "A" * 3071])
async def test_what_is_no_answer_is_told_on_the_page(bed: Bed, shard: Shard, line: str) -> None:
    """Words of the chat mean nothing here; the lines are still there to be copied."""
    person, _ = await explained(bed)
    assert 400 == await person.post(PAGE, answer=line)
    assert 'role="alert"' in person.text
    assert ONCE.search(person.text)
    assert [] == shard.asked


async def test_a_request_is_called_off(bed: Bed, shard: Shard) -> None:
    """The button ends the attempt."""
    person, _ = await explained(bed)
    assert 303 == await person.post(f"{PAGE}/compare", same="no")
    assert [(Verb.COMPARED, "no")] == shard.asked
    assert words.off_chat(words.PASSKEY_STOPPED) == await notice(person)


@pytest.mark.parametrize(("word", "sentence"), [("yes", words.CODES_SAME), ("no", words.PASSKEY_STOPPED)])
async def test_codes_are_compared(redis: RedisServer, bed: Bed, word: str, sentence: str) -> None:
    """The code stands on the owner's page with both answers."""
    async with shard_of(redis, Reason.COMPARING_CODES, live("compare", "ABCD-EFGH")) as shard:
        person = await shown(bed, "ABCD-EFGH")
        assert 303 == await person.get(PAGE)
        assert 303 == await person.post(f"{PAGE}/compare", same="perhaps")
        assert [] == shard.asked
        await person.get("/account")
        assert 303 == await person.post(f"{PAGE}/compare", same=word)
        assert [(Verb.COMPARED, word)] == shard.asked
        assert words.off_chat(sentence) == await notice(person)


async def test_without_a_request_there_is_no_page(bed: Bed) -> None:
    """Whoever comes too late is sent back, and told."""
    person = await browser(bed).log_in()
    assert 303 == await person.get(PAGE)
    assert words.off_chat(words.NO_PASSKEY) == await notice(person)
    assert 303 == await person.post(PAGE, answer=KEY.packed(REQUEST))


@pytest.mark.parametrize("language", languages.NAMES)
async def test_in_every_language(bed: Bed, shard: Shard, language: str) -> None:
    """The page and what it says of a wrong answer."""
    person, _ = await explained(bed)
    person.session.cookie_jar.update_cookies({"ponton-language": language})
    await person.post("/language", language=language, back="/account")
    await person.get(PAGE)
    assert 400 == await person.post(PAGE, answer="nonsense")
    sentence = "This is not the answer of a passkey, or not all of it. Copy it again, then try again."
    assert languages.say(language, sentence) in html.unescape(person.text)
    assert (language == "en") == (sentence in html.unescape(person.text))
    assert [] == shard.asked


async def test_nothing_of_it_is_logged(bed: Bed, shard: Shard) -> None:
    """What was done, for which account, and how it went: no answer, no token, no request."""
    person, once = await explained(bed)
    await person.post(f"{PAGE}/answer", once="wrong", answer=KEY.packed(REQUEST))
    await person.post(f"{PAGE}/answer", once=once, answer=KEY.packed(REQUEST))
    log = bed.log.getvalue()
    assert '"verb":"passkey","result":"done"' in log
    assert "request_forged" in log
    for secret in (once, KEY.packed(REQUEST)[:40], "web.whatsapp.com", "challenge"):
        assert secret not in log
    assert [Verb.PASSKEY] == [verb for verb, _ in shard.asked]
