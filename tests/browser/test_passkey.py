"""From WhatsApp's demand for a passkey to the link, in a real browser: the page, its lines, and the way back.

Chromium believes that a page of ours is web.whatsapp.com: its resolver is told so, and a home of its own trusts the
authority that has signed for it. The passkey is a virtual one, as developers' tools have them; the sandbox knows its
public key and checks what it signs. Everything else is the whole system with the core.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from aiohttp import web
from playwright.async_api import BrowserContext, Dialog, Page, expect

from ponton_bridge.model.states import TABLE, Reason
from ponton_bridge.whatsapp.core_driver import place
from tests.browser.conftest import chromium
from tests.browser.person import violations
from tests.browser.test_story import PATIENCE, logged_in_page
from tests.demo import picture
from tests.demo.say import Say
from tests.demo.stage import Stage, built
from tests.harness.authenticator import LATE, Authenticator
from tests.harness.authority import Authority
from tests.harness.redis import free_port
from tests.sandbox.client import AccountHandle
from tests.sandbox.launch import DRIVER_VARIABLE
from tests.sandbox.passkeys import ORIGIN, RELYING_PARTY

HOST: Final = ORIGIN.removeprefix("https://")
STRICT: Final = {  # as strict as a page like that may be: the way back must not need anything of it
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; form-action 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
}


async def run(*command: str) -> None:
    """Run a program to its end."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    assert 0 == await process.wait()


@asynccontextmanager
async def whatsapp_web(folder: Path) -> AsyncIterator[tuple[Path, int]]:
    """Serve a page in WhatsApp's name; gives the home of a browser that believes it, and the port."""
    authority = Authority(folder / "ca")
    signed = authority.issue("web", [HOST])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)

    async def page(_request: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>WhatsApp</title>", content_type="text/html", headers=STRICT)

    app, port = web.Application(), free_port()
    app.router.add_get("/", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    database = folder / "home" / ".pki" / "nssdb"
    database.mkdir(parents=True)
    await run("certutil", "-N", "-d", f"sql:{database}", "--empty-password")
    await run("certutil", "-A", "-d", f"sql:{database}", "-n", "ours", "-t", "C,,", "-i", str(authority.ca_file))
    try:
        yield folder / "home", port
    finally:
        await runner.cleanup()


@dataclass
class Scene:
    """Alice's browser with her passkey in it, logged in at the page; her phone, of which WhatsApp wants it."""

    stage: Stage
    context: BrowserContext
    page: Page
    phone: AccountHandle
    key: Authenticator

    async def ask(self) -> None:
        """Create the account and scan; WhatsApp asks, and the page shows how to answer."""
        await self.page.check("input[name=understood]")
        await self.page.click("button.main")
        await expect(self.page.locator("#qr")).to_be_visible(timeout=PATIENCE)
        await self.phone.scan(picture.read(await self.page.screenshot(full_page=True)), wait=False)
        await self.page.click("#do-passkey", timeout=PATIENCE)
        await expect(self.page.locator("#snippet")).to_be_visible()

    async def whatsapp(self) -> Page:
        """Open WhatsApp's page in a tab of its own, which has the passkey."""
        tab = await self.context.new_page()
        devtools = await self.context.new_cdp_session(tab)
        await devtools.send("WebAuthn.enable")
        made = await devtools.send(
            "WebAuthn.addVirtualAuthenticator",
            {
                "options": {
                    "protocol": "ctap2",
                    "transport": "internal",
                    "hasResidentKey": True,
                    "hasUserVerification": True,
                    "isUserVerified": True,
                    "automaticPresenceSimulation": True,
                }
            },
        )
        credential = {
            "credentialId": base64.b64encode(self.key.id).decode(),
            "isResidentCredential": True,
            "rpId": RELYING_PARTY,
            "privateKey": base64.b64encode(self.key.private).decode(),
            "userHandle": base64.b64encode(self.key.user).decode(),
            "signCount": 0,
        }
        await devtools.send(
            "WebAuthn.addCredential", {"authenticatorId": made["authenticatorId"], "credential": credential}
        )
        await tab.goto(f"{ORIGIN}/")
        return tab

    async def paste(self, tab: Page, lines: str) -> None:
        """Run lines as the console does: the page's policy has no say in it, and no gesture stands behind them."""
        devtools = await self.context.new_cdp_session(tab)
        ran = await devtools.send("Runtime.evaluate", {"expression": lines, "userGesture": False})
        assert "exceptionDetails" not in ran

    async def linked(self, tab: Page) -> None:
        """The page says so, and the phone has a device."""
        await expect(tab.locator("#state")).to_have_text(TABLE[Reason.CONNECTED].sentence, timeout=PATIENCE)
        assert [True] == [device["active"] for device in await self.phone.linked()]


@pytest.fixture
def key() -> Authenticator:
    """A passkey that answers at once."""
    return Authenticator()


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: Authenticator) -> AsyncIterator[Scene]:
    """All of it."""
    monkeypatch.setenv(DRIVER_VARIABLE, place.CORE)
    async with (
        whatsapp_web(tmp_path / "web") as (home, port),
        built(tmp_path / "stage", Say(lambda _line: None), page=True) as stage,
        chromium(f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{port}", home=home) as browser,
        stage.client("laptop") as client,
    ):
        assert stage.sandbox is not None
        context = await browser.new_context(locale="en-GB", permissions=["clipboard-read", "clipboard-write"])
        context.set_default_timeout(30_000)
        page = await context.new_page()
        await logged_in_page(page, stage, client)
        phone = await stage.sandbox.account(push_name="Alice", contacts=["Bob"])
        await phone.demand_passkey(key.registered)
        yield Scene(stage, context, page, phone, key)


async def test_from_demand_to_linked(scene: Scene) -> None:
    """Copied by the button, run at WhatsApp's page, back by itself with nothing left in the address: linked."""
    await scene.ask()
    assert [] == await violations(scene.page)
    await scene.page.click("#copy")
    await expect(scene.page.locator("#copy")).to_have_text("Copied")
    lines = await scene.page.evaluate("() => navigator.clipboard.readText()")
    tab = await scene.whatsapp()
    urls: list[str] = []
    tab.on("request", lambda request: urls.append(request.url))
    await scene.paste(tab, lines)
    await expect(tab.locator(".notice")).to_contain_text("WhatsApp has taken the answer", timeout=PATIENCE)
    assert f"{scene.stage.page}/account" == tab.url
    assert all("#" not in url and "?" not in url.partition("/account")[2] for url in urls if "/account/pass" in url)
    assert ORIGIN not in await tab.evaluate("() => document.referrer")
    await scene.linked(tab)
    await tab.go_back()
    assert "eyJ" not in tab.url


@pytest.mark.parametrize("key", [Authenticator(user=LATE)], ids=["late"])
async def test_codes_are_compared_on_the_page(scene: Scene) -> None:
    """A late answer: the code of the phone stands on the page, and a button says that it is the same."""
    await scene.ask()
    tab = await scene.whatsapp()
    await scene.paste(tab, await scene.page.input_value("#snippet"))
    await expect(tab.locator("#compare")).to_be_visible(timeout=PATIENCE)
    assert (await scene.phone.wait_for("passkey_code"))["code"] == await tab.inner_text("#compare")
    assert [] == await violations(tab)
    await tab.click("#same")
    await scene.linked(tab)


async def test_an_answer_from_another_browser_is_pasted(scene: Scene) -> None:
    """The other lines show one long line, which the page takes."""
    await scene.ask()
    tab = await scene.whatsapp()
    await scene.paste(tab, await scene.page.input_value("#showing"))
    await tab.wait_for_function("() => document.body.textContent.startsWith('passkey ')")
    await scene.page.click("summary >> nth=0")
    await scene.page.fill("#answer", await tab.inner_text("body"))
    await scene.page.click("#give")
    await expect(scene.page.locator(".notice")).to_contain_text("WhatsApp has taken the answer", timeout=PATIENCE)
    await scene.linked(scene.page)


async def test_the_lines_run_nowhere_else(scene: Scene) -> None:
    """At another page they say where to go; a wrong passkey is the browser's to tell; the page still waits."""
    await scene.ask()
    said: list[str] = []

    async def heard(dialog: Dialog) -> None:
        said.append(dialog.message)
        await dialog.accept()

    scene.page.on("dialog", heard)
    await scene.paste(scene.page, await scene.page.input_value("#snippet"))
    async with asyncio.timeout(20):
        while not said:  # noqa: ASYNC110 - the dialog tells nobody but its handler
            await asyncio.sleep(0.05)
    assert [f"Run this at {ORIGIN}"] == said
    await expect(scene.page.locator("#snippet")).to_be_visible()
    await scene.page.click("#call-off")
    ended = TABLE[Reason.PASSKEY_UNANSWERED].sentence.partition(" Write")[0]
    await expect(scene.page.locator("#state")).to_have_text(ended, timeout=PATIENCE)


async def test_a_foreign_page_cannot_bring_an_answer(scene: Scene) -> None:
    """Who knows the address alone is refused: the token is not to be guessed, and nothing reaches WhatsApp."""
    await scene.ask()
    tab = await scene.whatsapp()
    stranger = Authenticator(id=scene.key.id).packed('{"challenge": "AAAA"}')
    await scene.paste(tab, f'location.assign("{scene.stage.page}/account/passkey/answer#{"0" * 64}.{stranger}")')
    await expect(tab.locator(".problem")).to_contain_text("This answer was brought before", timeout=PATIENCE)
    assert scene.stage.sandbox is not None
    assert [] == await scene.stage.sandbox.trace(events="passkey_refused")
