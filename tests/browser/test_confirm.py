"""The page that waits for a yes in the owner's client turns by itself, with a script and without one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from ponton_operator.selfservice import words
from tests.browser.conftest import Watched
from tests.browser.person import ask_for_code, enter_code, violations
from tests.harness.redis import running_redis
from tests.integration.portal_bed import Bed, portal_bed
from tests.integration.test_portal_confirm import answer
from tests.unit.desk_world import ALICE


@pytest.fixture
async def bed(tmp_path: Path) -> AsyncIterator[Bed]:
    """A portal on a Redis of its own."""
    async with running_redis(tmp_path / "redis") as redis, portal_bed(redis) as made:
        yield made


async def shown(page: Page, bed: Bed) -> str:
    """Ask for a code; gives the signs that the page shows."""
    await ask_for_code(page, bed.base, ALICE)
    return await page.inner_text("#transaction")


async def test_a_page_turns_with_the_yes(bed: Bed, watched: Watched) -> None:
    """What is being typed stays meanwhile; another page that waits stays where it is."""
    mine, other = await watched.person(), await watched.person()
    transaction = await shown(mine, bed)
    await shown(other, bed)
    await mine.fill("#code", "1234")
    async with mine.expect_response(lambda response: response.url.endswith("/login/answer")):
        pass
    await expect(mine.locator("#code")).to_have_value("1234")
    answer(bed, transaction)
    await expect(mine.locator(".owner")).to_have_text(ALICE)
    await expect(other.locator("#code")).to_be_visible()
    await enter_code(other, bed.codes()[-1])


async def test_a_page_turns_with_the_no(bed: Bed, watched: Watched) -> None:
    """It says what happened, and offers to begin anew."""
    page = await watched.person()
    answer(bed, await shown(page, bed), yes=False)
    await expect(page.locator(".problem")).to_have_text(words.SAID_NO)
    await expect(page.locator("#jid")).to_be_visible()
    watched.complaints.clear()  # the browser tells of the status, as it should


async def test_without_a_script_there_is_a_page_that_waits(bed: Bed, watched: Watched) -> None:
    """It has no field, so that asking again takes nothing away; the way back to the field is there."""
    page = await watched.person(java_script_enabled=False)
    transaction = await shown(page, bed)
    await page.click("a[href='/login/code?wait']")
    await expect(page.locator("#code")).to_have_count(0)
    await page.click("a[href='/login/code']")
    await expect(page.locator("#code")).to_be_visible()
    await page.click("a[href='/login/code?wait']")
    answer(bed, transaction)
    await expect(page.locator(".owner")).to_have_text(ALICE)


async def test_the_page_that_waits_is_for_everybody(bed: Bed, watched: Watched) -> None:
    """By axe's rules, as all others; the script that looks needs one, so the page is opened by its address."""
    page = await watched.person()
    await shown(page, bed)
    await page.goto(f"{bed.base}/login/code?wait")
    assert [] == await violations(page)
