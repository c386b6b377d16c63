"""Every page as people with all kinds of eyes, hands and screens find it, with accounts and links that are played."""

import io
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image
from playwright.async_api import Page, expect

from ponton_bridge.coordination.contract import LiveCode
from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.resources.account import Desired, account_name
from ponton_operator.selfservice import languages
from tests.browser.conftest import Watched
from tests.browser.person import WIDEST, ask_for_code, enter_code, violations
from tests.demo import picture
from tests.harness.redis import running_redis
from tests.integration.portal_bed import BOB, Bed, portal_bed
from tests.unit.desk_world import ALICE, DOMAIN
from tests.unit.test_hosting import account
from tests.unit.test_passkey import REQUEST

SHOTS = Path(__file__).parents[2] / "docs" / "screenshots" / "portal"
CODE = LiveCode("qr", "2@" + "Yk3vP0zQ" * 24 + ",AbCdEf,GhIjKl", 2, 6, 0.0)
WANTED = LiveCode("passkey", REQUEST, 1, 1, 0.0)
COMPARED = LiveCode("compare", "ABCD-EFGH", 1, 1, 0.0)
PHONE, DESK = {"width": 320, "height": 640}, {"width": 1280, "height": 800}
Scheme = Literal["light", "dark"]
NAME = account_name(DOMAIN, ALICE)
ADMIN = "admin@example.org"
STATES = (("Running", "Connected"), ("Parked", "LoggedOut"), ("Failed", "Crashing"))


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """A portal on a Redis of its own."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis, hosts=[ADMIN]) as made:
        yield made


async def log_in(page: Page, bed: Bed, jid: str = ALICE) -> None:
    """Go the whole way with the code that the front desk says."""
    await ask_for_code(page, bed.base, jid)
    await enter_code(page, bed.codes(jid)[-1])


@dataclass
class Walk:
    """A way through all pages; each is looked at by `look`."""

    page: Page
    bed: Bed
    look: "Look"

    async def go(self) -> None:
        """Walk through."""
        page, bed = self.page, self.bed
        await page.goto(f"{bed.base}/login")
        await self.look(page, "login")
        await ask_for_code(page, bed.base, ALICE)
        await self.look(page, "login-code")
        await page.fill("#code", "1")
        await page.click("button.main")
        await self.look(page, "wrong-code")
        await enter_code(page, bed.codes()[-1])
        await self.look(page, "create")
        await bed.accounts.create(ALICE)
        for name, reason, code in (
            ("code", Reason.WAITING_FOR_SCAN, CODE),
            ("passkey", Reason.WAITING_FOR_PASSKEY, WANTED),
            ("compare", Reason.COMPARING_CODES, COMPARED),
            ("linked", Reason.CONNECTED, None),
            ("banned", Reason.BANNED, None),
        ):
            await bed.beat(ALICE, reason, code, phone_seen=1_795_900_000.0)
            await page.goto(f"{bed.base}/account")
            await self.look(page, name)
        await self._passkey()
        await self._parked()
        for name in ("phone", "unlink", "delete", "preferences"):
            await page.goto(f"{bed.base}/account/{name}")
            await self.look(page, name)
        await page.goto(f"{bed.base}/nonsense")
        await self.look(page, "error")
        await page.context.clear_cookies(name="ponton-gw")
        await self._host()

    async def _host(self) -> None:
        for number in range(60):
            made = account(number, *STATES[number % 3], banned=number < 3)
            self.bed.accounts.accounts[account_name(DOMAIN, made.spec.owner)] = made
        await log_in(self.page, self.bed, ADMIN)
        for name, path in (
            ("host", ""),
            ("host-account", f"/account/{NAME}"),
            ("host-delete", f"/account/{NAME}/delete"),
        ):
            await self.page.goto(f"{self.bed.base}/host{path}")
            await self.look(self.page, name)

    async def _passkey(self) -> None:
        page, bed = self.page, self.bed
        await bed.beat(ALICE, Reason.WAITING_FOR_PASSKEY, WANTED)
        await page.goto(f"{bed.base}/account/passkey")
        for closed in await page.locator("summary").all():
            await closed.click()
        await self.look(page, "passkey-how")
        await page.goto(f"{bed.base}/account/passkey/answer")
        await self.look(page, "passkey-answer")

    async def _parked(self) -> None:
        self.bed.accounts.park(ALICE, Reason.PARKED, paired=True)
        await self.bed.accounts.patch(NAME, desired=Desired.PARKED)
        await self.page.goto(f"{self.bed.base}/account")
        await self.look(self.page, "paused")


@dataclass
class Look:
    """What is wrong with pages; pictures are taken when they are asked for."""

    wrong: list[str]
    shots: str = ""

    async def __call__(self, page: Page, name: str) -> None:
        """Look at a page as it is now."""
        self.wrong += [f"{name}: {line}" for line in await violations(page)]
        if (wide := await page.evaluate(WIDEST)) > 0:
            self.wrong.append(f"{name}: {wide} pixels too wide")
        if self.shots:
            shot = Image.open(io.BytesIO(await page.screenshot(full_page=True)))
            shot.quantize(64).save(SHOTS / f"{name}-{self.shots}.png", optimize=True)


async def test_a_page_with_faults_is_found_out(watched: Watched) -> None:
    """The rules are really asked: a field without a label, pale text and a wide table are named."""
    page = await watched.person(viewport=PHONE)
    await page.set_content(
        "<main><input><p style='color:#ccc;background:#fff'>pale</p><pre>" + "x" * 200 + "</pre></main>"
    )
    look = Look([])
    await look(page, "bad")
    assert {"label", "color-contrast", "html-has-lang"} <= {line.split(": ")[1] for line in look.wrong}
    assert "pixels too wide" in look.wrong[-1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
async def test_every_page_is_for_everybody(bed: Bed, watched: Watched, size: dict[str, int], scheme: Scheme) -> None:
    """No rule of WCAG 2.2 AA is broken, and nothing is wider than the screen, in light and dark, from 320 pixels on."""
    page = await watched.person(viewport=size, color_scheme=scheme)
    shots = f"{'phone' if size is PHONE else 'desk'}-{scheme}" if os.environ.get("SHOTS") == "1" else ""
    look = Look([], shots)
    await Walk(page, bed, look).go()
    assert [] == look.wrong
    watched.complaints[:] = [line for line in watched.complaints if "status of 4" not in line]  # asked for above


@pytest.mark.parametrize("language", languages.NAMES)
async def test_every_page_fits_in_every_language(bed: Bed, watched: Watched, language: str) -> None:
    """Longer words break no page on a small screen."""
    page = await watched.person(viewport=PHONE, locale=language)
    look = Look([])
    await Walk(page, bed, look).go()
    assert [] == look.wrong
    assert language == await page.get_attribute("html", "lang")
    watched.complaints[:] = [line for line in watched.complaints if "status of 4" not in line]


async def test_a_code_is_renewed_and_counted_down_by_itself(bed: Bed, watched: Watched) -> None:
    """The picture on the screen is the live code; the next one takes its place without a touch."""
    page = await watched.person()
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.WAITING_FOR_SCAN, CODE)
    await log_in(page, bed)
    await expect(page.locator("#qr")).to_be_visible()
    assert CODE.text == picture.read(await page.screenshot(full_page=True))
    left = await page.inner_text(".seconds")
    await expect(page.locator(".seconds")).not_to_have_text(left)
    following = LiveCode("qr", "2@next", 3, 6, 0.0)
    await bed.beat(ALICE, Reason.WAITING_FOR_SCAN, following)
    await expect(page.locator(".code")).to_contain_text("Code 3 of 6")
    await page.wait_for_function("() => document.querySelector('#qr').complete")
    assert following.text == picture.read(await page.screenshot(full_page=True))
    await bed.beat(ALICE, Reason.CODES_USED_UP)
    await expect(page.locator("#do-code")).to_have_class("main")
    await expect(page.locator("#qr")).to_have_count(0)


async def test_the_code_is_black_on_white_in_the_dark_too(bed: Bed, watched: Watched) -> None:
    """A camera reads it from a dark page on a small screen."""
    page = await watched.person(viewport=PHONE, color_scheme="dark")
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.WAITING_FOR_SCAN, CODE)
    await log_in(page, bed)
    assert CODE.text == picture.read(await page.screenshot(full_page=True))


async def test_two_owners_at_once_see_their_own(bed: Bed, watched: Watched) -> None:
    """Each open page turns with its own link only."""
    alice, bob = await watched.person(), await watched.person()
    for page, jid in ((alice, ALICE), (bob, BOB)):
        await bed.accounts.create(jid)
        await bed.beat(jid, Reason.WAITING_FOR_SCAN, LiveCode("qr", f"of {jid}", 1, 6, 0.0))
        await log_in(page, bed, jid)
        await expect(page.locator("#qr")).to_be_visible()
    await bed.beat(ALICE, Reason.CONNECTED)
    await expect(alice.locator("#state")).to_have_text(TABLE[Reason.CONNECTED].sentence)
    assert f"of {BOB}" == picture.read(await bob.screenshot(full_page=True))
    await expect(bob.locator("#state")).to_have_text(TABLE[Reason.WAITING_FOR_SCAN].sentence)


async def test_the_keyboard_is_enough(bed: Bed, watched: Watched) -> None:
    """From the address to a paused bridge without a mouse; the focus can be seen and survives a renewal."""
    page = await watched.person()
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.CONNECTED)
    await page.goto(f"{bed.base}/login")
    await page.keyboard.press("Tab")
    assert "skip" == await page.evaluate("() => document.activeElement.className")
    await page.focus("#jid")
    await page.keyboard.type(ALICE)
    await page.keyboard.press("Enter")
    await expect(page.locator("#code")).to_be_visible()
    await page.focus("#code")
    await page.keyboard.type(bed.codes()[-1])
    await page.keyboard.press("Enter")
    await expect(page.locator("#do-pause")).to_be_visible()
    for _ in range(20):
        await page.keyboard.press("Tab")
        if "do-pause" == await page.evaluate("() => document.activeElement.id"):
            break
    assert "none" != await page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
    await bed.beat(ALICE, Reason.CONNECTION_LOST)
    await expect(page.locator("#state")).to_contain_text("lost")
    assert "do-pause" == await page.evaluate("() => document.activeElement.id")
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice")).to_contain_text("paused")
    assert Desired.PARKED is bed.accounts.accounts[NAME].spec.desired


async def test_an_ended_session_shows_the_login(bed: Bed, watched: Watched) -> None:
    """Logged out everywhere from another browser, the open page is an owner's no longer."""
    page = await watched.person()
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.CONNECTED)
    await log_in(page, bed)
    await expect(page.locator("#do-pause")).to_be_visible()
    await bed.portal.keep.end_all(ALICE)
    await bed.beat(ALICE, Reason.CONNECTION_LOST)
    await expect(page.locator("#jid")).to_be_visible()
    watched.complaints.clear()  # the refused part is told by the browser, as it should be


async def test_times_are_shown_as_people_write_them(bed: Bed, watched: Watched) -> None:
    """The browser says when, in the owner's language and time zone."""
    page = await watched.person(locale="de-DE", timezone_id="Europe/Berlin")
    await bed.accounts.create(ALICE)
    await bed.beat(ALICE, Reason.CONNECTED)
    await log_in(page, bed)
    await expect(page.locator("time").first).to_contain_text("18.11.2026")
