"""As much of a browser as tests of the portal need: cookies, forms, no scripts. Called by tests and by the demo."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp

TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


@dataclass
class Visitor:
    """Cookies, and the last page, whose forms have `token`; `base` is where the portal is."""

    base: str
    session: aiohttp.ClientSession
    text: str = ""
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def token(self) -> str:
        """The token of the last page's forms."""
        found = TOKEN.search(self.text)
        return found[1] if found else ""

    async def ask(self, method: str, path: str, data: Mapping[str, str] | None = None, **headers: str) -> int:
        """Send a request, follow nothing; gives the status."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(
            method, self.base + path, data=data, headers=named, allow_redirects=False
        ) as answer:
            self.headers = answer.headers
            self.body = await answer.read()
            if "html" in answer.headers.get("Content-Type", ""):
                self.text = self.body.decode()
            return answer.status

    async def get(self, path: str, **headers: str) -> int:
        """Ask for a page."""
        return await self.ask("GET", path, None, **headers)

    async def post(self, path: str, **form: str) -> int:
        """Send a form with the last page's token."""
        return await self.ask("POST", path, {"token": self.token} | form)


def opened() -> aiohttp.ClientSession:
    """Open a session that keeps cookies of an address, too, as loopback is one."""
    return aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))


@asynccontextmanager
async def visitor(base: str) -> AsyncIterator[Visitor]:
    """Open a fresh browser until the block ends."""
    async with opened() as session:
        yield Visitor(base, session)
