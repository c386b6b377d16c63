"""What the handlers of the control API act on: the world, its people, its faults and its trace."""

from dataclasses import dataclass, field

from tests.sandbox.control.people import People
from tests.sandbox.phones.bell import Bell
from tests.sandbox.router import Router
from tests.sandbox.world import Trace


@dataclass(slots=True, eq=False)
class House:
    """One sandbox as the control API sees it. `recorded` numbers the entries of the trace."""

    router: Router
    people: People
    recorded: int = field(default=0, init=False)
    bell: Bell = field(default_factory=Bell, init=False)

    def __post_init__(self) -> None:
        self.router.world.listeners.append(self._count)

    def _count(self, _entry: Trace) -> None:
        self.recorded += 1
        self.bell.ring()
