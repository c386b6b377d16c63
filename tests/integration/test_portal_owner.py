"""The owner's pages: what they show of a link, what their buttons do, and how they follow it."""

import asyncio
import io
import json
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from ponton_bridge.coordination.contract import Happening, Heartbeat, Keys, LiveCode, Verb
from ponton_bridge.core.day import BUCKET, Day
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.plan.preferences import chosen
from ponton_operator.resources.account import Desired, account_name
from ponton_operator.selfservice import languages, service, words
from ponton_operator.selfservice.links import is_deleting
from tests.harness.redis import running_redis
from tests.integration.portal_bed import BOB, GATEWAY, SECONDS, Bed, Browser, browser, portal_bed
from tests.unit.desk_world import ALICE, DOMAIN

NAME = account_name(DOMAIN, ALICE)
CODE = LiveCode("qr", "2@abc,def,ghi", 2, 6, 0.0)


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """A portal on a Redis of its own."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis) as made:
        yield made


async def told(person: Browser, *steps: Callable[[], Awaitable[object]]) -> list[str]:
    """Listen to the stream of events; after each version that is told the next step is done. Gives the versions."""
    versions: list[str] = []
    left = aiohttp.ClientTimeout(sock_read=SECONDS)
    async with (
        asyncio.timeout(SECONDS),
        person.session.get(person.bed.base + "/account/events", timeout=left) as answer,
    ):
        assert "text/event-stream" == answer.headers["Content-Type"].partition(";")[0]
        async for line in answer.content:
            if line.startswith(b"data: "):
                versions.append(line.decode()[6:].strip())
                if len(versions) > len(steps):
                    break
                await steps[len(versions) - 1]()
    return versions


async def test_who_has_no_account_gets_the_terms_and_the_form(bed: Bed) -> None:
    """The plain warning comes before the button."""
    person = await browser(bed).log_in()
    assert words.TERMS.replace("'", "&#39;") in person.text
    assert person.text.index('class="warning"') < person.text.index("/account/create")
    assert 303 == await person.post("/account/create", understood="yes", phone="")
    await person.get("/account")
    assert words.REGISTERED in person.text
    assert [ALICE] == [account.spec.owner for account in bed.accounts.accounts.values()]
    assert [Verb.NEW_CODE] == await bed.asked(ALICE)


async def test_a_number_asks_for_the_letters_as_well(bed: Bed) -> None:
    """Who cannot scan gives the number at once."""
    person = await browser(bed).log_in()
    await person.post("/account/create", phone="+44 7700 900123")
    assert [Verb.NEW_CODE, Verb.PAIR_PHONE] == await bed.asked(ALICE)


async def test_a_number_that_is_none_is_refused_before_anything_is_made(bed: Bed) -> None:
    """The form comes again with the sentence."""
    person = await browser(bed).log_in()
    assert 400 == await person.post("/account/create", phone="12")
    assert "international form" in person.text
    assert {} == bed.accounts.accounts


async def test_owners_of_other_servers_are_told_whom_the_gateway_serves(bed: Bed) -> None:
    """The same check and sentence as in a chat; the session itself is theirs."""
    await bed.accounts.create("old@elsewhere.net")
    person = await browser(bed).log_in("old@elsewhere.net")
    bed.accounts.accounts.clear()
    assert 400 == await person.post("/account/create")
    assert words.NOT_ALLOWED.format(hosts="example.org") in person.text


async def test_a_closed_gateway_offers_no_form(tmp_path: Path) -> None:
    """Where only the host makes accounts the page says so."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis, registration="Closed") as bed:
        person = await browser(bed).log_in()
        assert words.CLOSED in person.text
        assert "/account/create" not in person.text
        assert 503 == await person.post("/account/create")


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("language", languages.NAMES)
async def test_every_state_is_shown_in_words(bed: Bed, reason: Reason, language: str) -> None:
    """State, since when, and what to do next, in the owner's language; a chat's advice is left out."""
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, reason)
    person = await browser(bed).log_in()
    await person.get("/account", Accept_Language=language)
    for sentence in (words.off_chat(TABLE[reason].sentence), words.NEXT[TABLE[reason].next]):
        assert languages.say(language, sentence).replace("'", "&#39;").replace(">", "&gt;") in person.text
    assert 'datetime="2026-11-18T' in person.text
    assert "Write &#39;" not in person.text


async def test_the_live_code_is_a_picture_for_its_owner(bed: Bed) -> None:
    """The page counts it down; the picture holds the code, black on white."""
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.WAITING_FOR_SCAN, CODE)
    person = await browser(bed).log_in()
    assert "Code 2 of 6" in person.text
    assert CODE.text not in person.text
    assert 200 == await person.get("/account/code.svg")
    assert ("image/svg+xml", "no-store") == (person.headers["Content-Type"], person.headers["Cache-Control"])
    assert b'fill="#fff"' in person.body
    other = await browser(bed).log_in(BOB)
    assert 404 == await other.get("/account/code.svg")


async def test_without_a_code_there_is_no_picture(bed: Bed) -> None:
    """An old code is gone with its time; a passkey request is no picture."""
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.WAITING_FOR_SCAN)
    person = await browser(bed).log_in()
    assert 404 == await person.get("/account/code.svg")
    await bed.beat(ALICE, Reason.WAITING_FOR_SCAN, LiveCode("passkey", "{}", 1, 1, 0.0))
    assert 404 == await person.get("/account/code.svg")


async def test_an_open_page_is_told_of_every_change(bed: Bed) -> None:
    """A new code, a link, and the end of the account each give another version; the part has the same one."""
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.WAITING_FOR_SCAN, CODE)
    person = await browser(bed).log_in()

    async def delete() -> None:
        bed.accounts.accounts.clear()

    versions = await told(person, lambda: bed.beat(ALICE, Reason.CONNECTED), delete)
    assert 3 == len(set(versions))
    await person.get("/account/part")
    assert f'data-version="{versions[-1]}"' in person.text


async def test_pages_that_are_left_are_forgotten(bed: Bed) -> None:
    """Nothing is looked at for nobody."""
    await bed.accounts.create(ALICE)
    person = await browser(bed).log_in()
    await told(person)
    async with asyncio.timeout(SECONDS):
        while bed.portal.live.watched:  # noqa: ASYNC110  # the server sees it a moment later
            await asyncio.sleep(0.01)
    assert 0 == bed.portal.live.watched


async def test_pauses_and_resumes(bed: Bed) -> None:
    """Buttons do what the words of the chat do."""
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.CONNECTED)
    person = await browser(bed).log_in()
    await person.post("/account/pause")
    assert Desired.PARKED is bed.accounts.accounts[NAME].spec.desired
    bed.accounts.park(ALICE, Reason.PARKED, paired=True)
    old = bed.accounts.accounts[NAME]
    bed.accounts.accounts[NAME] = old.model_copy(
        update={"spec": old.spec.model_copy(update={"desired": Desired.PARKED})}
    )
    await person.get("/account")
    assert 'id="do-resume"' in person.text
    assert 'id="do-pause"' not in person.text
    await person.post("/account/resume")
    assert [NAME] == bed.accounts.woken


async def test_a_suspended_number_can_ask_for_a_code_and_end_the_link(bed: Bed) -> None:
    """The link is kept while WhatsApp suspends the number, and 'new code' says that it works again."""
    await bed.accounts.create(ALICE)
    bed.accounts.park(ALICE, Reason.BANNED, paired=True)
    person = await browser(bed).log_in()
    for button in ("do-code", "do-unlink", "do-pause"):
        assert f'id="{button}"' in person.text


async def test_what_cannot_be_taken_back_is_asked_first(bed: Bed) -> None:
    """A bare form asks; the answer with yes does it."""
    await bed.accounts.create(ALICE)
    person = await browser(bed).log_in()
    assert 303 == await person.post("/account/delete")
    assert "/account/delete" == person.headers["Location"]
    await person.get("/account/delete")
    assert words.DELETED_LIST in person.text
    assert not is_deleting(bed.accounts.accounts[NAME])
    assert 303 == await person.post("/account/delete", sure="yes")
    assert is_deleting(bed.accounts.accounts[NAME])
    await person.get("/account")
    assert words.BEING_DELETED in person.text
    assert 'id="do-delete"' not in person.text


async def test_what_the_host_stopped_has_no_buttons_but_copy_and_delete(bed: Bed) -> None:
    """The page offers nothing that would be refused."""
    await bed.accounts.create(ALICE)
    await bed.accounts.patch(NAME, desired=Desired.STOPPED)
    person = await browser(bed).log_in()
    assert {"do-preferences", "do-delete", "do-json", "do-zip"} == {
        part.partition('"')[0] for part in person.text.split(' id="')[1:] if part.startswith("do-")
    }


async def test_preferences_are_a_form_that_is_kept(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes show what holds; what is not ticked is off, and a page that was not the form changes nothing."""
    monkeypatch.setattr(service, "ANSWER_SECONDS", 0.1)
    await bed.accounts.create(ALICE)
    person = await browser(bed).log_in()
    await person.get("/account/preferences")
    assert 3 == person.text.count(' value="yes" checked>')
    assert 303 == await person.post("/account/preferences")
    assert chosen(bed.accounts.accounts[NAME].spec.preferences)["typing"]
    await person.get("/account/preferences")
    assert 303 == await person.post("/account/preferences", chosen="yes", receipts="yes", presence="yes")
    await person.get("/account")
    assert words.CHOICE_LATER in person.text  # no bridge has heard of it
    assert {"receipts": True, "typing": False, "presence": True} == chosen(bed.accounts.accounts[NAME].spec.preferences)
    assert [Verb.CHOOSE] == await bed.asked(ALICE)
    await person.get("/account/preferences")
    assert 'id="choose-typing" name="typing" value="yes">' in person.text
    assert 2 == person.text.count(' value="yes" checked>')


async def test_preferences_of_nobody_are_told_in_words(bed: Bed) -> None:
    """Without an account there is nothing to choose."""
    person = await browser(bed).log_in()
    assert 400 == await person.get("/account/preferences")
    assert words.off_chat(words.NOT_REGISTERED) in person.text


async def test_gives_a_copy_of_what_is_stored(bed: Bed) -> None:
    """As JSON and in a zip, as a file that is not kept anywhere on the way."""
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.CONNECTED)
    person = await browser(bed).log_in()
    day = Day()
    day.note(Heartbeat(1, "i", time.time() - BUCKET, sent=5))
    await bed.redis.call("SET", Keys(GATEWAY, NAME).day, day.to_text())
    await bed.portal.door.record([(NAME, Happening(1_795_000_000.0, state="Running Connected"))])
    await person.get("/account/export.json")
    copy = json.loads(person.body)
    assert ALICE == copy["account"]["spec"]["owner"]
    assert copy["account"]["spec"]["preferences"]["readReceipts"]
    assert "5" == copy["last day"]["messages"].split(" ")[-1]
    assert ["2026-11-18T11:06:40+00:00 state: Running Connected"] == copy["what happened"]
    assert 'attachment; filename="ponton.json"' == person.headers["Content-Disposition"]
    await person.get("/account/export.zip")
    with zipfile.ZipFile(io.BytesIO(person.body)) as archive:
        assert "Connected" == json.loads(archive.read("ponton.json"))["heartbeat"]["reason"]


async def test_the_copy_of_nobody_is_told_in_words(bed: Bed) -> None:
    """Without an account there is nothing to give."""
    person = await browser(bed).log_in()
    assert 400 == await person.get("/account/export.json")
    assert words.off_chat(words.NOT_REGISTERED) in person.text


async def test_the_language_is_chosen_and_remembered(bed: Bed) -> None:
    """A choice counts more than the browser, and leads back to the same page."""
    person = await browser(bed).log_in()
    await person.get("/account", Accept_Language="fr")
    assert '<html lang="fr">' in person.text
    await person.post("/language", language="de", back="/account")
    assert "/account" == person.headers["Location"]
    await person.get("/account", Accept_Language="fr")
    assert '<html lang="de">' in person.text


async def test_the_language_can_be_chosen_on_every_page_that_a_form_has_led_to(bed: Bed) -> None:
    """A page that answered a form has no address of its own to come back to: the way leads to one that has."""
    person = await browser(bed).log_in()
    assert 400 == await person.post("/account/create", phone="12")
    assert 'name="back" value="/"' in person.text
    await person.post("/logout", everywhere="no")
    assert 'name="back" value="/login"' in person.text
    await person.get("/login")
    assert 'name="back" value="/login"' in person.text


async def test_a_page_that_waits_asks_again_without_a_script(bed: Bed) -> None:
    """Only while something will happen by itself; a page at rest stays as it is."""
    await bed.accounts.create(ALICE)
    person = await browser(bed).log_in()
    refresh = '<noscript><meta http-equiv="refresh" content="5"></noscript>'
    for reason, asks in ((Reason.WAITING_FOR_SCAN, True), (Reason.CONNECTED, False), (Reason.CODES_USED_UP, False)):
        await bed.beat(ALICE, reason)
        await person.get("/account")
        assert asks is (refresh in person.text), reason


async def test_with_redis_away_the_visitor_is_told_in_words(tmp_path: Path) -> None:
    """No page of an error of ours, and no session is lost by it."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis) as bed:
        person = await browser(bed).log_in()
        redis.pause()
        try:
            assert 503 == await person.get("/account")
        finally:
            redis.resume()
        assert "cannot be reached" in person.text
        assert 200 == await person.get("/account")


async def test_a_fault_of_ours_is_a_sentence_and_a_line_in_the_log(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees a library's words; the log says where it was."""
    person = await browser(bed).log_in()

    async def broken(_name: str) -> None:
        raise RuntimeError("alice@example.org 12345678")

    monkeypatch.setattr(bed.accounts, "get", broken)
    assert 500 == await person.get("/account")
    assert "Something went wrong in the bridge" in person.text
    assert "RuntimeError" not in person.text
    assert '"event":"page_failed"' in bed.log.getvalue()
    assert ALICE not in bed.log.getvalue()


async def test_the_audit_says_who_did_what_by_opaque_name(bed: Bed) -> None:
    """Verb, account and result; never an address."""
    await bed.accounts.create(ALICE)
    person = await browser(bed).log_in()
    await person.post("/account/pause")
    await person.post("/account/phone", phone="1")
    acts = [json.loads(line) for line in bed.log.getvalue().splitlines() if '"owner_acted"' in line]
    assert [("pause", NAME, "done"), ("pair", NAME, "OwnerError")] == [
        (act["verb"], act["account"], act["result"]) for act in acts
    ]
    assert ALICE not in bed.log.getvalue()


async def test_counts_pages_without_naming_anybody(bed: Bed) -> None:
    """Metrics know routes and statuses."""
    person = await browser(bed).log_in()
    await person.get("/account/phone")
    text = bed.portal.metrics.text().decode()
    assert 'ponton_pages_total{page="/account/{verb}",status="200"} 1.0' in text
    assert "alice" not in text
    assert 200 == await person.get("/healthz")
