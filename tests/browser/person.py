"""What a person does with the page, and what a careful eye sees: used by the tests in this folder."""

from typing import Any, Final

from playwright.async_api import Page, expect

from tests.browser.conftest import AXE

WIDEST: Final = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
RULES: Final = (
    """() => axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]})"""
)


async def ask_for_code(page: Page, base: str, jid: str) -> None:
    """Enter the address."""
    await page.goto(f"{base}/")
    await page.fill("#jid", jid)
    await page.click("button.main")
    await expect(page.locator("#code")).to_be_visible()


async def enter_code(page: Page, code: str) -> None:
    """Enter the code, and see one's own page."""
    await page.fill("#code", code)
    await page.click("button.main")
    await expect(page.locator(".owner")).to_be_visible()


async def violations(page: Page) -> list[str]:
    """Check the page by axe's rules for WCAG 2.2 AA and good practice; names what is wrong, and where."""
    await page.evaluate(AXE.read_text(encoding="utf-8"))
    found: dict[str, Any] = await page.evaluate(RULES)
    return [f"{rule['id']}: {node['html']}" for rule in found["violations"] for node in rule["nodes"]]
