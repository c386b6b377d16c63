"""Logging in at the page: the code, the browser that it belongs to, tries, sessions, and what strangers learn."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ponton_operator.selfservice import words
from ponton_operator.selfservice.web.keep import CODES, TRIES
from tests.harness.redis import running_redis
from tests.integration.portal_bed import BOB, Bed, browser, portal_bed
from tests.unit.desk_world import ALICE

SIGNS = re.compile(r"[A-Z0-9]{3}-[A-Z0-9]{3}")  # of the login, which every page has its own of


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """A portal on a Redis of its own."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis) as made:
        yield made


async def test_an_owner_logs_in_with_the_code_that_the_gateway_says(bed: Bed) -> None:
    """The code comes as a message from the gateway and opens the owner's page."""
    person = await browser(bed).log_in()
    assert ALICE in person.text
    (message,) = bed.said
    assert (bed.portal.limits.domain, ALICE, "chat") == (message.get("from"), message.get("to"), message.get("type"))
    assert message.find("{urn:xmpp:hints}no-store") is not None
    assert (message.get("id") or "").startswith("login-")


async def test_the_code_is_said_in_the_language_of_the_browser(bed: Bed) -> None:
    """Who reads the page in German gets the message in German."""
    person = browser(bed)
    await person.get("/login", Accept_Language="de-AT,de;q=0.9")
    assert '<html lang="de">' in person.text
    await person.ask("POST", "/login", {"token": person.token, "jid": ALICE}, Accept_Language="de")
    assert "Ihr Code" in (bed.said[0].findtext("{jabber:client}body") or "")


async def test_strangers_and_owners_get_the_same_answer(bed: Bed) -> None:
    """An address elsewhere is answered as one of ours is, and nothing is sent to it."""
    answers = []
    for jid in (ALICE, "eve@elsewhere.net"):
        person = browser(bed)
        await person.get("/login")
        status = await person.post("/login", jid=jid)
        where = person.headers["Location"]
        await person.get(where)
        answers.append((status, where, SIGNS.sub("", person.text.replace(person.token, ""))))
    assert answers[0] == answers[1]
    assert [ALICE] == [m.get("to") for m in bed.said]


async def test_an_address_that_is_none_is_refused_in_words(bed: Bed) -> None:
    """What cannot be an address is said at once, and stays in the field, escaped."""
    person = browser(bed)
    await person.get("/login")
    assert 400 == await person.post("/login", jid='"><script>alert(1)</script>')
    assert "name@server" in person.text
    assert "<script>alert" not in person.text
    assert [] == bed.said


async def test_the_code_holds_in_the_browser_that_asked_for_it_only(bed: Bed) -> None:
    """Another browser cannot use a code that it has read."""
    mine, other = browser(bed), browser(bed)
    for person in (mine, other):
        await person.get("/login")
    await mine.post("/login", jid=ALICE)
    await other.post("/login", jid=BOB)
    await other.get("/login/code")
    assert 400 == await other.post("/login/code", code=bed.codes(ALICE)[-1])
    await mine.get("/login/code")
    assert 303 == await mine.post("/login/code", code=bed.codes(ALICE)[-1])


async def test_a_code_is_good_once(bed: Bed) -> None:
    """A second use finds no login, even with the old cookie."""
    person = browser(bed)
    await person.get("/login")
    await person.post("/login", jid=ALICE)
    await person.get("/login/code")
    old, token, code = person.cookie, person.token, bed.codes()[-1]
    assert 303 == await person.post("/login/code", code=code)
    thief = browser(bed)
    thief.plant(old)
    assert 400 == await thief.ask("POST", "/login/code", {"token": token, "code": code})


async def test_a_cookie_from_before_the_login_is_worth_nothing_after_it(bed: Bed) -> None:
    """Whoever planted a cookie does not share the session (fixation)."""
    victim, thief = browser(bed), browser(bed)
    victim.plant("planted")
    await victim.log_in()
    assert "planted" != victim.cookie
    thief.plant("planted")
    assert 303 == await thief.get("/account")
    assert "/login" == thief.headers["Location"]


async def test_five_tries_and_no_more(bed: Bed) -> None:
    """After five wrong codes the right one does not help, and neither does another code for the same address."""
    person = browser(bed)
    await person.get("/login")
    await person.post("/login", jid=ALICE)
    await person.get("/login/code")
    wrong = "00000000" if bed.codes()[-1] != "00000000" else "11111111"
    assert [400] * TRIES == [await person.post("/login/code", code=wrong) for _ in range(TRIES)]
    assert 429 == await person.post("/login/code", code=bed.codes()[-1])
    assert "ten minutes" in person.text
    again = browser(bed)
    await again.get("/login")
    await again.post("/login", jid=ALICE)
    await again.get("/login/code")
    assert 429 == await again.post("/login/code", code=bed.codes()[-1])


async def test_only_so_many_codes_go_to_one_address(bed: Bed) -> None:
    """Nobody can flood an owner with messages through the page, from however many browsers."""
    statuses = []
    for _ in range(CODES + 2):
        person = browser(bed)
        await person.get("/login")
        statuses.append(await person.post("/login", jid=ALICE))
    assert [303] * CODES + [429] * 2 == statuses
    assert CODES == len(bed.codes())


async def test_a_gateway_that_is_not_connected_is_told(bed: Bed) -> None:
    """If the front desk has no stream the page says so, for every address of ours."""
    bed.deaf = True
    person = browser(bed)
    await person.get("/login")
    assert 503 == await person.post("/login", jid=ALICE)
    assert "not connected" in person.text


async def test_logging_out_ends_this_session(bed: Bed) -> None:
    """The cookie is worth nothing afterwards; another browser stays logged in."""
    one, two = await browser(bed).log_in(), await browser(bed).log_in()
    old = one.cookie
    assert 200 == await one.post("/logout", everywhere="no")
    assert words.LOGGED_OUT in one.text
    one.plant(old)
    assert 303 == await one.get("/account")
    assert 200 == await two.get("/account")


async def test_logging_out_everywhere_ends_all_sessions_of_this_owner(bed: Bed) -> None:
    """All browsers of the owner are out; those of others are not."""
    one, two, other = await browser(bed).log_in(), await browser(bed).log_in(), await browser(bed).log_in(BOB)
    await one.post("/logout", everywhere="yes")
    assert [303, 303, 200] == [await person.get("/account") for person in (one, two, other)]


async def test_replicas_share_what_they_know(bed: Bed, tmp_path: Path) -> None:
    """A session that was begun at one replica is good at another."""
    person = await browser(bed).log_in()
    session = await bed.portal.keep.session(person.cookie)
    assert session is not None
    async with running_redis(tmp_path / "other") as elsewhere, portal_bed(elsewhere) as stranger:
        assert await stranger.portal.keep.session(person.cookie) is None


async def test_no_secret_and_no_address_stands_in_redis_keys_or_in_the_log(bed: Bed) -> None:
    """Keys are hashes; the log has the account's opaque name only."""
    person = await browser(bed).log_in()
    keys = " ".join(await bed.redis.call("KEYS", "ponton:gw:portal:*"))
    assert keys
    for secret in (person.cookie, ALICE, "alice", bed.codes()[-1]):
        assert secret not in keys
        assert secret not in bed.log.getvalue()
    assert '"event":"logged_in"' in bed.log.getvalue()
