"""When each watch of kopf's said something last, bookmarks too. kopf tells nobody, so its HTTP session does.

Called by `guard`: the kubelet restarts an operator whose watches have fallen silent. kopf lets a login handler bring
the session.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import kopf


class Streams:
    """The watches, by path."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._heard: dict[str, float] = {}

    def age(self) -> float:
        """Give the seconds since the most silent watch said something, 0 without watches."""
        return max((self._clock() - at for at in self._heard.values()), default=0.0)

    def heard(self, path: str) -> None:
        """Something came."""
        self._heard[path] = self._clock()

    async def login(self, **arguments: Any) -> kopf.AiohttpSession | None:  # noqa: ANN401  # kopf's signature
        """Give kopf a session that tells; the login handler."""
        info = kopf.login_via_client(**arguments)
        if info is None:
            return None
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            response_class=self.response(),
        )
        return kopf.AiohttpSession(
            server=info.server, default_namespace=info.default_namespace, aiohttp_session=session
        )

    def response(self) -> type[aiohttp.ClientResponse]:
        """Give the class of answers that tell; for an aiohttp session."""
        streams = self

        class Telling(aiohttp.ClientResponse):
            """An answer that tells when something of it came, if it is a watch."""

            async def start(self, connection: Any) -> aiohttp.ClientResponse:  # noqa: ANN401  # aiohttp's own class
                """Begin to read."""
                begun = await super().start(connection)
                if self.url.query.get("watch") == "true":
                    streams.heard(self.url.path)
                    self.content = _Content(self.content, lambda: streams.heard(self.url.path))  # type: ignore[assignment]  # a stand-in
                return begun

        return Telling


class _Content:
    """The body of a watch; everything else is the true one's."""

    def __init__(self, content: aiohttp.StreamReader, heard: Callable[[], None]) -> None:
        self._content = content
        self._heard = heard

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Give what comes."""
        async for chunk in self._content.iter_chunked(size):
            self._heard()
            yield chunk

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever it is there
        return getattr(self._content, name)
