"""Who may write for an account: the rule of the fence and the lease in Redis, in words and as a function.

The epoch is the fence, the lease is evidence. The script in `coordination.client.scripts` is this rule in Lua, and a
property test holds the two together on a real Redis. A shard that is refused stops for good; one that cannot ask
(Redis is away, or refuses its password) goes on, since Prosody's fence is on disk.
"""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """The script's answers."""

    DONE = "done"
    FENCED = "fenced"  # a higher epoch has written
    HELD = "held"  # another instance of this epoch lives


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lease; it has not run out."""

    epoch: int
    instance: str


def judge(fence: int, holder: Holder | None, epoch: int, instance: str) -> Verdict:
    """Say whether (epoch, instance) may write; `fence` = the highest epoch that ever wrote, 0 if none did.

    A higher epoch takes over at once, whoever holds the lease; so does the same epoch and instance (a restarted
    container). The same epoch with another instance waits until the lease has run out.

    >>> judge(7, Holder(7, "a"), 8, "b"), judge(7, Holder(7, "a"), 7, "a"), judge(7, None, 7, "b")
    (<Verdict.DONE: 'done'>, <Verdict.DONE: 'done'>, <Verdict.DONE: 'done'>)
    >>> judge(7, None, 6, "a"), judge(7, Holder(7, "a"), 7, "b")
    (<Verdict.FENCED: 'fenced'>, <Verdict.HELD: 'held'>)
    """
    if epoch < fence:
        return Verdict.FENCED
    if holder and holder.epoch == epoch and holder.instance != instance:
        return Verdict.HELD
    return Verdict.DONE
