"""kopf's HTTP session: it tells when each watch said something last, and waits where a namespace may not be seen.

Called by `guard`: the kubelet restarts an operator whose watches have fallen silent (bookmarks count), and one refused
namespace would end kopf with all its watches. kopf tells nobody of the one and asks nobody about the other, but lets a
login handler bring the session.
"""

import http
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import aiohttp
import kopf

from ponton_operator.operators.reach import Reach

_NAMESPACE: Final = re.compile(r"/namespaces/([^/]+)/[^/]+$")  # the path of all objects of a kind in a namespace


class Streams:
    """The watches, by path."""

    def __init__(self, clock: Callable[[], float], reach: Reach) -> None:
        self._clock, self._reach = clock, reach
        self._heard: dict[str, float] = {}
        self._answers: dict[str, aiohttp.ClientResponse] = {}  # of each watch the last one
        reach.shut = self.shut

    def age(self) -> float:
        """Give the seconds since the most silent watch said something, 0 without watches."""
        return max((self._clock() - at for at in self._heard.values()), default=0.0)

    def heard(self, path: str) -> None:
        """Something came."""
        self._heard[path] = self._clock()

    def shut(self, namespace: str) -> None:
        """Break off the watches in a namespace: kopf waits with the next ones, and goes on from where it was."""
        for path in [path for path in self._answers if namespace_of(path) == namespace]:
            self._heard.pop(path, None)
            self._answers.pop(path).close()

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
            server=info.server,
            default_namespace=info.default_namespace,
            aiohttp_session=self.gated(session),  # type: ignore[arg-type]  # a stand-in
        )

    def gated(self, session: aiohttp.ClientSession) -> "Gated":
        """Give the session with a door for each namespace; for kopf."""
        return Gated(session, self._reach)

    def answers(self, path: str, answer: aiohttp.ClientResponse) -> None:
        """A watch has begun."""
        self._answers[path] = answer

    def response(self) -> type[aiohttp.ClientResponse]:
        """Give the class of answers that tell; for an aiohttp session."""
        streams = self

        class Telling(aiohttp.ClientResponse):
            """An answer that tells when something of it came, if it is a watch."""

            async def start(self, connection: Any) -> aiohttp.ClientResponse:  # noqa: ANN401  # aiohttp's own class
                """Begin to read."""
                begun = await super().start(connection)
                if self.url.query.get("watch") == "true" and self.status == http.HTTPStatus.OK:
                    streams.heard(self.url.path)
                    streams.answers(self.url.path, self)
                    self.content = _Content(self.content, lambda: streams.heard(self.url.path))  # type: ignore[assignment]  # a stand-in
                return begun

        return Telling


class Gated:
    """A session that asks for nothing in a namespace that is not served, however long that takes.

    It waits outside of the session's own calls, so that none of their deadlines counts; everything else is the true
    one's.
    """

    def __init__(self, session: aiohttp.ClientSession, reach: Reach) -> None:
        self._session, self._reach = session, reach

    async def request(self, *, url: str, **arguments: Any) -> aiohttp.ClientResponse:  # noqa: ANN401  # aiohttp's
        """Ask, once the namespace is served; refused, wait until it is again."""
        namespace = namespace_of(url.partition("?")[0])
        while True:
            await self._reach.opened(namespace)
            answer = await self._session.request(url=url, **arguments)
            if not self._reach.knows(namespace):
                return answer
            if answer.status == http.HTTPStatus.FORBIDDEN:
                self._reach.refuse(namespace)
            elif self._reach.serves(namespace):
                return answer
            answer.close()  # what another watch was refused meanwhile, this one would tell too early

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # whatever it is there
        return getattr(self._session, name)


def namespace_of(path: str) -> str:
    """Give the namespace in which a path lists or watches objects, '' for the cluster.

    >>> namespace_of("/apis/ponton.im/v1alpha1/namespaces/bridges/bridgeaccounts"), namespace_of("/api/v1/nodes")
    ('bridges', '')
    """
    found = _NAMESPACE.search(path)
    return found[1] if found else ""


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
