"""The first program of the sandbox's image: a shard that trusts the sandbox, or the sandbox itself.

    shard                 `ponton shard`, sandboxed; HTTPS_PROXY names the sandbox
    serve, account, …     what `python -m tests.sandbox` does

A pod cannot be given a file by a sandbox that was started after it was written, so the launcher asks the sandbox
itself: its proxy hands out, without the tunnel, what must be trusted. Only this image ever asks.
"""

import http.client
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tests.sandbox.launch import Config, sandboxed

PAPER = "/trust.json"  # what the proxy answers to a plain GET of this path
FOLDER = Path("/tmp/sandbox")  # noqa: S108 - of the container, which nobody shares
PATIENCE = 60.0  # seconds for a sandbox that is starting as well; its pod is Ready within 10
PAUSE = 1.0  # seconds between two tries
TIMEOUT = 5.0  # seconds for one answer
PROXY_PORT = 8080  # when the URL says none


class NoSandbox(Exception):
    """The sandbox did not say what to trust; the text says why."""


def paper(ca: str, root: bytes) -> bytes:
    """What a launcher must know: the authority (PEM) and the root key, as JSON."""
    return json.dumps({"ca": ca, "root": root.hex()}).encode()


def fetch(proxy: str) -> bytes:
    """Ask the sandbox at the proxy URL for its paper, once; raises `NoSandbox`."""
    url = urlsplit(proxy)
    if url.scheme != "http" or not url.hostname:
        raise NoSandbox(f"HTTPS_PROXY must be the http URL of a sandbox, not {proxy!r}")
    connection = http.client.HTTPConnection(url.hostname, url.port or PROXY_PORT, timeout=TIMEOUT)
    try:
        connection.request("GET", PAPER)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoSandbox(f"the sandbox does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise NoSandbox(f"what answers at HTTPS_PROXY is no sandbox (status {answer.status})")
    return body


def unpack(proxy: str, body: bytes, folder: Path) -> Path:
    """Write the launchers' file for a sandbox at the proxy URL; gives its path. Raises `NoSandbox`."""
    try:
        told = json.loads(body)
        ca, root = str(told["ca"]), bytes.fromhex(told["root"]).hex()
    except (ValueError, KeyError, TypeError) as error:
        raise NoSandbox("what answers at HTTPS_PROXY is no sandbox") from error
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, config = folder / "ca.pem", folder / "sandbox.json"
    authority.write_text(ca, encoding="ascii")
    Config(proxy, str(authority), root).write(config)
    return config


def become_shard(arguments: list[str], environment: Mapping[str, str], folder: Path = FOLDER) -> None:
    """Replace this process by a sandboxed shard; raises `NoSandbox` when no sandbox was there in time."""
    proxy = environment.get("HTTPS_PROXY", "")
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            config = unpack(proxy, fetch(proxy), folder)
            break
        except NoSandbox:
            if not proxy or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE)
    command, env = sandboxed([sys.executable, "-m", "ponton_bridge.cli", "shard", *arguments], environment, config)
    os.execve(command[0], command, env)  # noqa: S606 - replacing this very process is the point


def main(arguments: list[str]) -> int:
    """Do what the container was asked for; 1 with a sentence on standard error if there is no sandbox."""
    if os.getpid() == 1:  # which ignores it otherwise, as long as it waits for a sandbox
        signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
    if arguments[:1] == ["shard"]:
        try:
            become_shard(arguments[1:], os.environ)
        except NoSandbox as error:
            sys.stderr.write(f"{error}\n")
            return 1
    from tests.sandbox.__main__ import main as script  # noqa: PLC0415 - a shard does not pay for it

    return script(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
