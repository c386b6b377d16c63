"""`make demo`: the whole of Ponton on this machine. AUTO=1 plays it by itself, LIVE=1 leaves the sandbox out.

CLUSTER=1 plays it in pods of a cluster instead.

The exit code is 0 only when the story was played to its end.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from tests.cluster import demo as in_pods
from tests.demo import page
from tests.demo.say import Say
from tests.demo.stage import GATEWAY, HOST, PASSWORD, USER, Stage, built
from tests.demo.story import Story
from tests.harness.local import children

GUIDE = """
Everything runs. Log in with a client on this machine:

  Gajim or Dino   JID {user}@localhost, password {password}, server 127.0.0.1, port {port}
                  To trust the demo's own certificates (once, until you remove it):
                  cp {ca} /usr/local/share/ca-certificates/ponton-demo.crt && update-ca-certificates
  Python          python -m tests.demo.client {folder}

Then discover the services of localhost and register with {gateway}, or simply write "register" to {gateway}.
"""
SCAN = """When the code arrives, scan it with the demo's phone: give the link of the picture, or a file of it.

  {python} -m tests.demo.scan {folder} LINK

Then write with Bob, or let Bob write to you:

  SANDBOX_CONFIG={config} {python} -m tests.sandbox send Bob Alice "Hello from WhatsApp"
"""
LIVE = """There is no sandbox: scan the code with WhatsApp on your own phone, under Settings > Linked devices.
This uses the real WhatsApp through the internet; it may end the link or suspend a number that uses such bridges.
"""


async def run(*, auto: bool, live: bool) -> int:
    """Build the stage, then play the story or wait for Ctrl+C."""
    say = Say()
    with tempfile.TemporaryDirectory(prefix="ponton-demo-") as folder:
        async with built(Path(folder), say, live=live, page=True) as stage:
            if auto:
                if stage.sandbox is None:
                    print("AUTO=1 needs the sandbox; leave LIVE=1 away")  # noqa: T201
                    return 2
                await Story(stage, stage.sandbox, say).play()
                print(page.PAGE.format(page=stage.page, jid=f"{USER}@{HOST}") + page.OVER)  # noqa: T201
            else:
                await _by_hand(stage)
    if left := children(os.getpid()):
        say(f"Processes are left behind: {left}")
        return 1
    say("Done: nothing is left behind")
    return 0


async def _by_hand(stage: Stage) -> None:
    values = {"user": USER, "password": PASSWORD, "port": stage.prosody.ports.c2s, "gateway": GATEWAY}
    login = {"jid": f"{USER}@{HOST}", "password": PASSWORD, "port": values["port"], "gateway": GATEWAY}
    await asyncio.to_thread((stage.folder / "login.json").write_text, json.dumps(login))
    print(GUIDE.format(**values, ca=stage.prosody.ca_file, folder=stage.folder))  # noqa: T201
    if stage.sandbox is None:
        print(LIVE)  # noqa: T201
    else:
        await stage.sandbox.account(push_name="Alice", contacts=["Bob"])
        print(SCAN.format(python=sys.executable, folder=stage.folder, config=stage.sandbox.config_file))  # noqa: T201
    print(page.PAGE.format(page=stage.page, jid=f"{USER}@{HOST}"))  # noqa: T201
    print("End with Ctrl+C.", flush=True)  # noqa: T201
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    await ended.wait()


def main() -> int:
    """Read the switches from the environment, as make passes them."""
    auto, live, cluster = (os.environ.get(name) == "1" for name in ("AUTO", "LIVE", "CLUSTER"))
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(in_pods.run(auto=auto) if cluster else run(auto=auto, live=live))
    return 130


if __name__ == "__main__":
    raise SystemExit(main())
