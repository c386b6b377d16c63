"""Logging in through a login server that is not ours (npm's oidc-provider): in Chromium, and from below."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import expect

from ponton_operator.selfservice import words
from tests.browser.conftest import Watched
from tests.browser.person import violations
from tests.harness.oidc import CLIENT, PUBLIC, SECRET, LoginServer, login_server
from tests.harness.redis import RedisServer, free_port, running_redis
from tests.integration.portal_bed import Bed, browser, portal_bed
from tests.unit.desk_world import ALICE

BACK = "/login/oidc/back"
PEOPLE: dict[str, dict[str, object]] = {
    "alice": {"xmpp": ALICE, "groups": ["staff"], "email": ALICE, "email_verified": True},
    "boss": {"xmpp": "boss@example.org", "groups": ["staff", "ponton-host"]},
    "nobody": {"xmpp": "", "groups": []},
}


def settings(issuer: str, **more: object) -> dict[str, object]:
    """Make the portal's settings for this server."""
    usual = {"issuer": issuer, "clientId": CLIENT, "clientSecretRef": {"name": "a", "key": "b"}, "privateNetwork": True}
    return {"oidc": usual | {"jid": "{xmpp}", "hostGroups": ["ponton-host"], "title": "Example", **more}}


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    """A Redis of its own."""
    async with running_redis(tmp_path / "redis") as made:
        yield made


@pytest.fixture
async def scene(tmp_path: Path, redis: RedisServer) -> AsyncIterator[tuple[Bed, LoginServer]]:
    """A portal, and the login server that it knows, whose tokens hold nothing but who it is."""
    port = free_port()
    async with (
        login_server(tmp_path / "login", f"http://127.0.0.1:{port}{BACK}", PEOPLE) as server,
        portal_bed(redis, login=settings(server.issuer), secret=SECRET, port=port) as bed,
    ):
        yield bed, server


async def test_an_owner_logs_in_through_the_login_server(scene: tuple[Bed, LoginServer], watched: Watched) -> None:
    """From the button there and back again; turned away there, it is said in words; nobody else is asked."""
    bed, server = scene
    page = await watched.person()
    await page.goto(f"{bed.base}/")
    await expect(page.locator("#elsewhere")).to_have_text("Log in with Example")
    assert [] == await violations(page)
    await page.click("#elsewhere")
    await page.click("#no")
    await expect(page.locator(".problem")).to_have_text(words.PROVIDER_REFUSED)
    watched.complaints.clear()  # the browser tells of the status, as it should

    await page.click("#elsewhere")
    assert page.url.startswith(server.issuer)
    await page.fill("input[name=name]", "alice")
    await page.click("#yes")
    await expect(page.locator(".owner")).to_have_text(ALICE)
    assert f"{bed.base}/account" == page.url
    await expect(page.locator("a[href='/host']")).to_have_count(0)

    await page.click("button[value=yes]")  # everywhere
    await expect(page.locator(".notice")).to_have_text(words.LOGGED_OUT_EVERYWHERE)
    await page.goto(f"{bed.base}/account")
    await expect(page.locator("#elsewhere")).to_be_visible()


async def test_the_hosts_people_come_by_their_group(scene: tuple[Bed, LoginServer], watched: Watched) -> None:
    """Without JavaScript too."""
    bed, _ = scene
    page = await watched.person(java_script_enabled=False)
    await page.goto(f"{bed.base}/login")
    await page.click("#elsewhere")
    await page.fill("input[name=name]", "boss")
    await page.click("#yes")
    await page.click("a[href='/host']")
    assert f"{bed.base}/host" == page.url


async def test_whoever_has_no_address_there_is_told(scene: tuple[Bed, LoginServer], watched: Watched) -> None:
    """The host has to see to it, and nobody is logged in."""
    bed, _ = scene
    page = await watched.person()
    await page.goto(f"{bed.base}/login/oidc")
    await page.fill("input[name=name]", "nobody")
    await page.click("#yes")
    await expect(page.locator(".problem")).to_have_text(words.NO_ADDRESS)
    watched.complaints.clear()


async def test_a_code_is_exchanged_once(scene: tuple[Bed, LoginServer], watched: Watched) -> None:
    """The address with which the browser came back is worth nothing in any browser afterwards."""
    bed, _ = scene
    page = await watched.person()
    came: list[str] = []
    page.on("request", lambda request: came.append(request.url) if f"{BACK}?" in request.url else None)
    await page.goto(f"{bed.base}/login/oidc")
    await page.fill("input[name=name]", "alice")
    await page.click("#yes")
    await expect(page.locator(".owner")).to_have_text(ALICE)
    (back,) = came
    for thief in (browser(bed), browser(bed)):
        assert 400 == await thief.get(back.removeprefix(bed.base))
        assert words.LOGIN_OLD in thief.text


@pytest.mark.parametrize(
    ("more", "secret"),
    [
        ({"clientId": PUBLIC, "clientSecretRef": None}, ""),
        ({"jid": "{email}", "scopes": ["profile", "email"]}, SECRET),
    ],
)
async def test_other_settings(
    tmp_path: Path, redis: RedisServer, watched: Watched, more: dict[str, object], secret: str
) -> None:
    """A public client, and an address made of a verified mail address; here the claims are in the token itself."""
    port = free_port()
    async with (
        login_server(tmp_path / "login", f"http://127.0.0.1:{port}{BACK}", PEOPLE, lean=False) as server,
        portal_bed(redis, login=settings(server.issuer, **more), secret=secret, port=port) as bed,
    ):
        page = await watched.person()
        await page.goto(f"{bed.base}/login/oidc")
        await page.fill("input[name=name]", "alice")
        await page.click("#yes")
        await expect(page.locator(".owner")).to_have_text(ALICE)
        await page.wait_for_load_state()  # before the portal ends


async def test_a_wrong_secret_is_the_hosts_to_mend(tmp_path: Path, redis: RedisServer, watched: Watched) -> None:
    """The owner is told whom to tell, the log names what to look at."""
    port = free_port()
    async with (
        login_server(tmp_path / "login", f"http://127.0.0.1:{port}{BACK}", PEOPLE) as server,
        portal_bed(redis, login=settings(server.issuer), secret="wrong", port=port) as bed,
    ):
        page = await watched.person()
        await page.goto(f"{bed.base}/login/oidc")
        await page.fill("input[name=name]", "alice")
        await page.click("#yes")
        await expect(page.locator(".problem")).to_have_text(words.PROVIDER_WRONG)
        await page.wait_for_load_state()  # before the portal ends
        assert '"why":"client"' in bed.log.getvalue()
        watched.complaints.clear()
