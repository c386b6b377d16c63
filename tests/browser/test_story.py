"""The page with everything behind it: Prosody, Redis, the runtime, a shard, and the sandbox's phone."""

import asyncio
import io
import json
import time
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from ponton_bridge.model.states import TABLE, Reason
from ponton_operator.selfservice import words
from tests.browser.conftest import Watched
from tests.browser.person import ask_for_code, enter_code
from tests.demo import picture
from tests.demo.page import code_said
from tests.demo.say import Say
from tests.demo.stage import USER, Stage, built
from tests.harness.prosody import until
from tests.harness.xmpp import Client

TURNS = 2.0  # seconds in which an open page turns, once the gateway says it over XMPP
PATIENCE = 60_000  # milliseconds for what starts processes


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """All parts, running, with the portal."""
    async with built(tmp_path, Say(lambda _line: None), page=True) as parts:
        yield parts


async def logged_in_page(page: Page, stage: Stage, client: Client) -> None:
    """Log in with the code that the client receives."""
    before = len(client.messages)
    await ask_for_code(page, stage.page, f"{USER}@{stage.domain}")
    await enter_code(page, await code_said(client, stage.gateway, before))


async def linked_by_page(page: Page, stage: Stage, client: Client) -> float:
    """Create the account and scan the code from the page's pixels; gives how long the page took to turn after that."""
    assert stage.sandbox is not None
    phone = await stage.sandbox.account(push_name="Alice", contacts=["Bob"])
    await page.check("input[name=understood]")
    await page.click("button.main")
    code = page.locator("#qr")
    await expect(code).to_be_visible(timeout=PATIENCE)
    await phone.scan(picture.read(await page.screenshot(full_page=True)))
    await client.presence(
        lambda p: p["from"].bare == stage.gateway and p["type"] == "available" and not p["show"], timeout=60
    )
    began = time.monotonic()
    await expect(page.locator("#state")).to_have_text(TABLE[Reason.CONNECTED].sentence, timeout=PATIENCE)
    return time.monotonic() - began


async def downloaded(page: Page, link: str) -> bytes:
    """Take a file from the page."""
    async with page.expect_download() as coming:
        await page.click(link)
    path = await (await coming.value).path()
    return await asyncio.to_thread(path.read_bytes)


async def test_an_owner_goes_the_whole_way(stage: Stage, watched: Watched) -> None:
    """Log in by XMPP, create, scan from the screen, see the page turn, pause, resume, export, unlink, delete."""
    page = await watched.person()
    async with stage.client("laptop") as client:
        await logged_in_page(page, stage, client)
        await expect(page.locator(".warning")).to_have_text(words.TERMS)
        took = await linked_by_page(page, stage, client)
        assert took <= TURNS
        print(f"the page turned {took:.2f} s after the gateway's presence")  # noqa: T201  # a figure for the report
        await expect(page.locator("#qr")).to_have_count(0)

        await page.click("#do-pause")
        await expect(page.locator(".notice")).to_have_text(words.off_chat(words.PAUSED))
        await expect(page.locator("#do-resume")).to_be_visible()
        await until(lambda: _no_shard(stage), what="the end of the shard", timeout=30)
        await page.click("#do-resume")
        await expect(page.locator(".notice")).to_have_text(words.GOES_ON)
        await expect(page.locator("#state")).to_have_text(TABLE[Reason.CONNECTED].sentence, timeout=PATIENCE)

        record = json.loads(await downloaded(page, "#do-json"))
        assert f"{USER}@{stage.domain}" == record["account"]["spec"]["owner"]
        content = await downloaded(page, "#do-zip")
        assert ["ponton.json"] == zipfile.ZipFile(io.BytesIO(content)).namelist()

        await page.click("#do-unlink")
        await page.click("button.danger")
        await expect(page.locator("#do-code")).to_be_visible(timeout=PATIENCE)
        await expect(page.locator("#state")).to_contain_text("is removed", timeout=PATIENCE)

        await page.click("#do-delete")
        await expect(page.locator("main")).to_contain_text(words.DELETED_LIST)
        await page.click("button.danger")
        await expect(page.locator("#begin")).to_be_visible(timeout=PATIENCE)
        await until(lambda: _left(stage), what="the end of the account", timeout=60)


async def test_without_a_script_the_page_is_of_use_too(stage: Stage, watched: Watched) -> None:
    """No JavaScript: the code comes and the link shows by the page's asking again."""
    page = await watched.person(java_script_enabled=False)
    async with stage.client("laptop") as client:
        await logged_in_page(page, stage, client)
        await linked_by_page(page, stage, client)
        await page.click("#do-delete")
        await page.click("button.danger")
        await expect(page.locator(".notice, #begin, h1").first).to_be_visible()


async def _no_shard(stage: Stage) -> bool:
    return not stage.local.shards()


async def _left(stage: Stage) -> bool:
    return not await stage.left()


async def test_the_portal_comes_back_and_sessions_hold(stage: Stage, watched: Watched) -> None:
    """The runtime is killed and started again: who was logged in still is, and the open page goes on by itself."""
    page = await watched.person()
    async with stage.client("laptop") as client:
        await logged_in_page(page, stage, client)
        await stage.local.kill()
        await stage.local.start()
        async with asyncio.timeout(30):
            while True:
                try:
                    await page.goto(f"{stage.page}/account")
                    break
                except Exception:  # noqa: BLE001  # it is starting: the browser's word for it does not matter
                    await asyncio.sleep(0.1)
        await expect(page.locator(".owner")).to_have_text(f"{USER}@{stage.domain}")
        watched.complaints.clear()
