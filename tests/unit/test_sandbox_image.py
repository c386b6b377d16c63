"""The first program of the sandbox's image: asking the sandbox what to trust, and becoming a shard that does."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.sandbox import image
from tests.sandbox.image import PAPER, NoSandbox, fetch, paper, unpack
from tests.sandbox.launch import Config
from tests.sandbox.server import Sandbox

ROOT_KEY = bytes(range(32))


class Answers(HTTPServer):
    """Gives the same answer to everything."""

    status, body = 200, b"{}"

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server() -> Iterator[Answers]:
    """A server that is no sandbox, until a test says otherwise."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert isinstance(self.server, Answers)
            self.send_response(self.server.status)
            self.send_header("Content-Length", str(len(self.server.body)))
            self.end_headers()
            self.wfile.write(self.server.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with Answers(("127.0.0.1", 0), Handler) as made:
        thread = Thread(target=lambda: made.serve_forever(0.02), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join(5)


def test_what_was_told_becomes_the_launchers_file(server: Answers, tmp_path: Path) -> None:
    """The authority lies beside it; the proxy is the one that was asked, not what the sandbox calls itself."""
    server.body = paper("-----BEGIN", ROOT_KEY)
    config = unpack(server.url, fetch(server.url), tmp_path / "trust")
    assert Config(server.url, str(tmp_path / "trust" / "ca.pem"), ROOT_KEY.hex()) == Config.read(config)
    assert "-----BEGIN" == (tmp_path / "trust" / "ca.pem").read_text()
    assert 0o700 == (tmp_path / "trust").stat().st_mode & 0o777


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"ca": "x", "root": "no hex"}', b"<html>"])
def test_a_server_that_is_no_sandbox_is_refused(server: Answers, tmp_path: Path, body: bytes) -> None:
    """Whatever it answers."""
    server.body = body
    with pytest.raises(NoSandbox, match="no sandbox"):
        unpack(server.url, fetch(server.url), tmp_path)


def test_an_error_is_no_paper(server: Answers) -> None:
    """A real proxy says that it does not do this."""
    server.status = 405
    with pytest.raises(NoSandbox, match="status 405"):
        fetch(server.url)


@pytest.mark.parametrize("proxy", ["", "https://x", "socks5://x:1", "nonsense"])
def test_a_proxy_that_cannot_be_a_sandbox_is_refused(proxy: str) -> None:
    """Without asking anybody."""
    with pytest.raises(NoSandbox, match="HTTPS_PROXY must be"):
        fetch(proxy)


def test_a_sandbox_that_is_away_is_no_crash(server: Answers) -> None:
    """It is asked again until its time is up."""
    url = server.url
    server.server_close()
    with pytest.raises(NoSandbox, match="does not answer"):
        fetch(url)


def test_a_shard_waits_for_a_sandbox_that_is_starting(
    server: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it becomes the shard's own command line, behind the launcher."""
    became: list[tuple[str, list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda *call: became.append(call))

    def start(_seconds: float) -> None:
        server.status, server.body = 200, paper("-----BEGIN", ROOT_KEY)

    server.status = 503
    monkeypatch.setattr(time, "sleep", start)
    image.become_shard([], {"HTTPS_PROXY": server.url, "PONTON_ACCOUNT": "acc-1"}, tmp_path)
    ((program, command, env),) = became
    assert sys.executable == program
    assert ["-m", "ponton_bridge.cli", "shard"] == command[-3:]
    assert (server.url, "acc-1", str(tmp_path / "ca.pem")) == (
        env["HTTPS_PROXY"],
        env["PONTON_ACCOUNT"],
        env["SSL_CERT_FILE"],
    )


def test_a_shard_without_a_sandbox_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kubelet starts it again."""
    monkeypatch.delenv("HTTPS_PROXY", raising=False)
    assert 1 == image.main(["shard"])
    assert "HTTPS_PROXY must be" in capsys.readouterr().err


def test_time_runs_out(server: Answers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard does not wait for ever."""
    server.status = 503
    monkeypatch.setattr(image, "PATIENCE", -1.0)
    with pytest.raises(NoSandbox, match="status 503"):
        image.become_shard([], {"HTTPS_PROXY": server.url}, tmp_path)


def test_everything_else_is_the_sandbox_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`serve`, `account` and so on."""
    with pytest.raises(SystemExit):
        image.main(["--help"])
    assert "WhatsApp in a box" in capsys.readouterr().out


async def test_a_sandbox_hands_out_its_paper(tmp_path: Path) -> None:
    """To a plain GET at its proxy port; it is what its launchers' file says."""
    async with Sandbox(folder=tmp_path) as box:
        told = Config.read(box.config)
        body = json.loads(await asyncio.to_thread(fetch, told.proxy))
        ca = await asyncio.to_thread(Path(told.ca).read_text)
    assert {"ca": ca, "root": told.root} == body
    assert "/trust.json" == PAPER
