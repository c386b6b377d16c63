"""A small client of the API server in the standard library alone; called by the loops of a box and by `first`.

Not a product's client: it asks, creates, and watches.
"""

import contextlib
import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cluster.box.layout import API_PORT

Object = dict[str, Any]
_TIMEOUT = 10.0  # seconds for one answer
_SILENCE = 90  # seconds until the server ends a quiet watch; the next one begins with a fresh list
MISSING = 404
CONFLICT = 409
_FAILED = 400


class Refused(Exception):
    """The server's answer was not a success; `code` is the HTTP status."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Api:
    """Talks to the API server as one of the users in `pki` (see go/certs.go), from inside or by a forwarded port.

    `keep`: one connection for all calls, since a new one costs more than most of them; `close` it, and one thread only.
    """

    def __init__(self, pki: Path, user: str = "box", port: int = API_PORT, *, keep: bool = False) -> None:
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / f"{user}.crt", pki / f"{user}.key")
        self._port = port
        self._keeps = keep
        self._kept: http.client.HTTPSConnection | None = None

    def call(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """One request and its JSON answer; raises Refused, or OSError when the server is away.

        A connection that was kept may have been closed meanwhile: then it is asked anew, and a write may be done twice,
        which the server's versions and names tell.
        """
        kept, self._kept = self._kept, None
        if kept:
            with contextlib.suppress(ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                return self._asked(kept, method, path, body, kind)
        return self._asked(self._connection(_TIMEOUT), method, path, body, kind)

    def _asked(
        self, connection: http.client.HTTPSConnection, method: str, path: str, body: Object | None, kind: str
    ) -> Object:
        try:
            text = self._ask(connection, method, path, body, kind).read()
            if self._keeps:
                self._kept = connection
        finally:
            if self._kept is not connection:
                connection.close()
        return json.loads(text) if text[:1] == b"{" else {"text": text.decode()}

    def close(self) -> None:
        """Give up the connection that was kept."""
        if self._kept:
            self._kept.close()
            self._kept = None

    def get(self, path: str) -> Object:
        """Read one object or list."""
        return self.call("GET", path)

    def create(self, path: str, body: Object) -> None:
        """Create an object; that it exists already is as good."""
        try:
            self.call("POST", path, body)
        except Refused as refused:
            if refused.code != CONFLICT:
                raise

    def delete(self, path: str) -> None:
        """Delete an object; that it is gone already is as good."""
        try:
            self.call("DELETE", path)
        except Refused as refused:
            if refused.code != MISSING:
                raise

    def watch(self, path: str) -> Iterator[tuple[str, Object]]:
        """Every object below `path` as ("SYNC", list), then each change as (ADDED|MODIFIED|DELETED, object).

        Ends when the server ends it; raises Refused or OSError. Call it again: it begins with the list of then.
        """
        mark = "&" if "?" in path else "?"
        found = self.get(path)
        yield "SYNC", found
        version = found["metadata"]["resourceVersion"]
        connection = self._connection(_SILENCE + _TIMEOUT)
        try:
            query = f"{mark}watch=1&resourceVersion={version}&timeoutSeconds={_SILENCE}"
            answer = self._ask(connection, "GET", path + query)
            for line in answer:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return  # too old a version: the next list will be newer
                yield event["type"], event["object"]
        finally:
            connection.close()

    def _connection(self, timeout: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection("127.0.0.1", self._port, timeout=timeout, context=self._context)

    @staticmethod
    def _ask(
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        body: Object | None = None,
        kind: str = "application/json",
    ) -> http.client.HTTPResponse:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": kind} if data else {})
        answer = connection.getresponse()
        if answer.status >= _FAILED:
            raise Refused(answer.status, answer.read().decode(errors="replace")[:500])
        return answer
