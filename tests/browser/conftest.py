"""Debian's Chromium for the tests in this folder, which is collected only when it is named: `pytest tests/browser`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.harness.collecting import give_time, unless_named

_HERE = Path(__file__).parent
_PATIENCE = 300  # seconds for a test that says nothing itself
AXE = _HERE.parents[1] / ".tools" / "axe" / "node_modules" / "axe-core" / "axe.min.js"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder alone unless a path given on the command line leads into it."""
    return unless_named(_HERE, config)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder more time than others have."""
    give_time(_HERE, items, _PATIENCE)


@asynccontextmanager
async def chromium(*arguments: str, home: Path | None = None) -> AsyncIterator[Browser]:
    """Run a browser, with a home of its own if it is given one.

    As root it needs to be told that its own sandbox cannot work.
    """
    env: dict[str, str | float | bool] = {**os.environ, **({"HOME": str(home)} if home else {})}
    async with async_playwright() as library:
        browser = await library.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", *arguments], env=env
        )
        try:
            yield browser
        finally:
            await browser.close()


class Watched:
    """Pages of one browser, each a person of her own; what no page may do is noted."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.asked: list[str] = []
        self.complaints: list[str] = []

    async def person(self, **options: Any) -> Page:  # noqa: ANN401  # the library's own
        """Open a page with cookies of its own; options are those of Playwright's contexts."""
        context: BrowserContext = await self._browser.new_context(**{"locale": "en-GB", **options})
        context.set_default_timeout(20_000)
        page = await context.new_page()
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        return page


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    """A browser whose pages ask nobody but us and complain of nothing (its own policy included)."""
    async with chromium() as browser:
        made = Watched(browser)
        yield made
        assert [] == [url for url in made.asked if not url.startswith("http://127.0.0.1:")]
        assert [] == made.complaints
