"""What every driver does alike for a shard: raises Prosody's fence at a start, does a deletion's step within its time.

Called by `kube_shards` and `local_shards`, which know how each of the steps is done where they are.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.coordination import START_SECONDS
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.prosody import ProsodyControl
from ponton_operator.plan.values import Clean, Outcome, Step
from ponton_operator.resources.account import BridgeAccount

SLACK: Final = 1.0  # seconds that a step may take longer than it was told to

# How each step of a deletion is done, given the account and seconds: '' when it is, else a sentence; HostError, too.
Steps = Mapping[Step, Callable[[BridgeAccount, float], Awaitable[str]]]


async def do_step(steps: Steps, account: BridgeAccount, action: Clean, seconds: float, log: Log) -> Outcome:
    """Do one step of a deletion, for at most so many seconds; never raises for what the outside does."""
    try:
        sentence = await asyncio.wait_for(steps[action.step](account, seconds), seconds + SLACK)
    except (HostError, OSError, TimeoutError) as error:
        sentence = str(error) or type(error).__name__
    if sentence:
        log(Event.STEP_FAILED, "warning", account=account.metadata.name, step=str(action.step))
    return Outcome(action.step, action.tries, ok=not sentence, sentence=sentence)


async def assign(prosody: Callable[[], ProsodyControl], owner: str, epoch: int, log: Log) -> None:
    """Raise the fence and let stanzas wait for the shard; without Prosody it starts all the same and tries.

    That `prosody` cannot give the control (a HostError) is one way to be without.
    """
    try:
        await asyncio.wait_for(prosody().assign(owner, epoch), START_SECONDS)
    except (HostError, TimeoutError) as error:
        log(Event.PROSODY_REFUSED, "warning", epoch=epoch, why=type(error).__name__)
