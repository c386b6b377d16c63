"""Control of Prosody: what goes over the wire, and every way in which it may not work."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ponton_operator.cluster import prosody
from ponton_operator.cluster.prosody import ProsodyControl, ProsodyRefused, ProsodyUnreachable


class View(BaseHTTPRequestHandler):
    """Writes down what was asked, and answers what the test said."""

    asked: list[dict[str, Any]]
    answer: tuple[int, bytes]

    def do_POST(self) -> None:
        """Take one request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append({"path": self.path, "headers": dict(self.headers), "body": json.loads(body)})
        status, text = self.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def view() -> Iterator[type[View]]:
    """A server; `view.url` is where."""
    handler = type("Handler", (View,), {"asked": [], "answer": (200, b"{}")})
    server = HTTPServer(("127.0.0.1", 0), handler)
    handler.url = f"http://127.0.0.1:{server.server_port}/shards"  # type: ignore[attr-defined]  # for the test
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler
    server.shutdown()
    server.server_close()
    thread.join()


def control(view: type[View]) -> ProsodyControl:
    """Make the control for it."""
    return ProsodyControl(view.url, "wa.example.test", "t0ken")  # type: ignore[attr-defined]  # set by the fixture


async def test_says_what_is_asked(view: type[View]) -> None:
    """The owner is in the body, the token in its header, the component in Host; nothing of it in the URL."""
    await control(view).assign("alice@example.test", 7)
    await control(view).release("alice@example.test")
    assert [
        {"action": "assign", "owner": "alice@example.test", "epoch": 7},
        {"action": "release", "owner": "alice@example.test"},
    ] == [asked["body"] for asked in view.asked]
    asked = view.asked[0]
    assert ("/shards", "Bearer t0ken", "wa.example.test") == (
        asked["path"],
        asked["headers"]["Authorization"],
        asked["headers"]["Host"],
    )


async def test_what_is_not_there_needs_no_forgetting(view: type[View]) -> None:
    """Releasing or purging an unknown owner is done; its status is none; assigning is refused."""
    view.answer = (404, b'{"error": "item-not-found"}')
    await control(view).release("a@b")
    await control(view).purge("a@b")
    assert None is await control(view).status("a@b")
    with pytest.raises(ProsodyRefused):
        await control(view).assign("a@b", 1)


async def test_gives_the_status(view: type[View]) -> None:
    """What the module holds is given as it is."""
    view.answer = (200, b'{"epoch": 7, "connected": true}')
    assert {"epoch": 7, "connected": True} == await control(view).status("a@b")


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (409, b'{"error": "conflict"}', "conflict"),
        (401, b"", "unauthorized"),
        (500, b"<html>", "internal server error"),
        (200, b"[]", "ok"),
        (302, b"", "found"),
        (599, b"", "599"),
    ],
)
async def test_says_why_it_was_refused(view: type[View], status: int, text: bytes, error: str) -> None:
    """The module's word, or else the status, is the error; a redirect is not followed."""
    view.answer = (status, text)
    with pytest.raises(ProsodyRefused) as caught:
        await control(view).assign("a@b", 1)
    assert error == caught.value.error


async def test_an_error_names_no_owner_and_no_token(view: type[View]) -> None:
    """What is told about a refusal holds neither."""
    view.answer = (409, b'{"error": "conflict"}')
    with pytest.raises(ProsodyRefused) as caught:
        await control(view).assign("alice@example.test", 1)
    assert "Prosody refused: conflict." == caught.value.sentence


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/shards", "https://127.0.0.1:1/shards"])
async def test_nobody_there(url: str) -> None:
    """A closed port is said to be unreachable, with and without TLS."""
    with pytest.raises(ProsodyUnreachable):
        await ProsodyControl(url, "wa.example.test", "t").release("a@b")


async def test_a_plain_answer_to_tls_is_none(view: type[View]) -> None:
    """A server that speaks no TLS on an https URL is unreachable, not trusted."""
    url = control(view).url.replace("http:", "https:")
    with pytest.raises(ProsodyUnreachable):
        await ProsodyControl(url, "wa.example.test", "t").release("a@b")


async def test_a_silent_server_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes the connection and says nothing costs the deadline, no more."""
    monkeypatch.setattr(prosody, "SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/shards"
        with pytest.raises(ProsodyUnreachable):
            await ProsodyControl(url, "wa.example.test", "t").release("a@b")
