"""`make demo CLUSTER=1`: the whole of Ponton in pods of a cluster in a box, or of the one that KUBECONFIG names.

AUTO=1 plays the story by itself: the owner registers from her client, as she does on one machine. Otherwise it says how
to go on by hand. Called by `tests.demo`; also the smoke test of a build.
"""

import asyncio
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.box.box import Box
from tests.cluster.box.layout import Options
from tests.cluster.reach import Cluster
from tests.cluster.release import DOMAIN, GATEWAY, SERVED, Release, installed
from tests.cluster.scene import ClusterScene, ways
from tests.demo.page import OVER, PAGE
from tests.demo.say import Say
from tests.demo.story import Story

USER = "alice"
GUIDE = """
Everything runs. Look around with

  export KUBECONFIG={kubeconfig}
  {kubectl} -n {namespace} get pods,bridgeaccounts,bridgegateways

Log in with a client on this machine: JID {user}@{domain}, password {password}, server 127.0.0.1, port {port}
(to trust its certificate: {ca}). Write "register" to {gateway}, then have the phone scan the code:

  {kubectl} -n {namespace} exec deploy/{sandbox} -- python -m tests.sandbox account Alice --contact Bob
  {kubectl} -n {namespace} exec deploy/{sandbox} -- python -m tests.sandbox scan Alice 'THE TEXT OF THE CODE'

or write "pair +NUMBER" with the phone's number and type the letters that come:

  {kubectl} -n {namespace} exec deploy/{sandbox} -- python -m tests.sandbox code Alice ABCD-EFGH
"""


@contextmanager
def brought_up(say: Say) -> Iterator[Cluster]:
    """Give the cluster of KUBECONFIG, or one of our own until the block ends."""
    if given := os.environ.get("KUBECONFIG"):
        yield Cluster(Path(given), None)
        return
    box = Box.up(Options(f"demo-{os.getpid()}", node=True, owner=os.getpid()))
    say("A cluster runs")
    try:
        yield Cluster.of(box)
    finally:
        say("Ending everything")
        left = box.down()
    if left:
        raise AssertionError(f"left behind: {', '.join(left)}")


async def run(*, auto: bool) -> int:
    """Bring it up, then play the story or wait for Ctrl+C; gives the exit code."""
    say = Say(lambda line: print(line, flush=True))  # noqa: T201  # for people
    with (
        tempfile.TemporaryDirectory(prefix="ponton-demo-") as folder,
        brought_up(say) as cluster,
        installed(cluster, Path(folder), [USER], page=True) as release,
    ):
        say("The chart is installed, its gateway is Ready")
        if auto:
            async with ways(release) as open_ways:
                await Story(ClusterScene(open_ways, USER), open_ways.sandbox, say).play()
            print(PAGE.format(page=release.page, jid=f"{USER}@{DOMAIN}") + OVER, flush=True)  # noqa: T201  # for people
        else:
            await _by_hand(release)
    say("Done: nothing is left behind")
    return 0


async def _by_hand(release: Release) -> None:
    async with ways(release) as open_ways:
        print(  # noqa: T201  # for people
            GUIDE.format(
                kubeconfig=release.cluster.kubeconfig,
                kubectl=release.cluster.command()[0],
                namespace=release.namespace,
                user=USER,
                domain=DOMAIN,
                password=release.users[USER],
                port=open_ways.c2s,
                ca=release.ca_file,
                gateway=SERVED,
                sandbox=GATEWAY,
            ),
            PAGE.format(page=release.page, jid=f"{USER}@{DOMAIN}"),
            "End with Ctrl+C.",
            sep="\n",
            flush=True,
        )
        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        await ended.wait()
