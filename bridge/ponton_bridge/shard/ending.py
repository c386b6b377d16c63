"""What a shard leaves behind: its last state in a file that the operator reads when Redis was away.

`last-state.json` in the store folder, replaced atomically at each change of state. Written and read by the shard
program; the control plane reads it after the process has ended and ignores that of another epoch or instance. On a
cluster nobody can look into the store, so the same is left in the container's termination message.
"""

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ponton_bridge.model.states import TABLE, Phase, Reason

FILE: Final = "last-state.json"
MESSAGE: Final = Path("/dev/termination-log")  # the kubelet makes it, and shows what it holds when the container ends


@dataclass(frozen=True, slots=True)
class LastState:
    """A state as it is left behind; times in seconds since 1970, `until` 0.0 if unknown, `paired` 0 or 1."""

    epoch: int
    instance: str
    reason: str
    since: float
    until: float = 0.0
    paired: int = 0


def leave(folder: Path, state: LastState, message: Path = MESSAGE) -> None:
    """Write it; a full disk must not keep a shard from ending. Blocks for as long as the disk takes."""
    fresh = folder / (FILE + ".new")
    with contextlib.suppress(OSError):
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(state), file)
        fresh.replace(folder / FILE)
    with contextlib.suppress(OSError):  # not there but in a pod
        handle = os.open(message, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(state), file)


def ended_before(folder: Path, epoch: int) -> Reason | None:
    """Give how linking had ended before this process, if it was in this same epoch: a crash begins no new attempt."""
    try:
        left = json.loads((folder / FILE).read_text())
        reason = Reason(left["reason"])
        same = left["epoch"] == epoch
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return reason if same and TABLE[reason].phase is Phase.PARKED else None
