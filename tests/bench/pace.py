"""How fast this machine is, so that musts in seconds mean the same everywhere. Used by the benches of rates and CPU.

The musts were set where a message through a bare neonize client and its echo took REFERENCE milliseconds. The same is
measured in each run (`latency.echoes`); where it takes twice as long, half the rate and twice the CPU time are asked
for. Raw figures stay as they are, and a faster machine gets no harder musts.
"""

from dataclasses import dataclass
from typing import Final

from tests.bench.figures import Line, at_least, at_most

REFERENCE: Final = 5.8  # milliseconds, p50 of 500: neonize 0.5.2, two cores, a stand-in server on loopback


@dataclass(frozen=True, slots=True)
class Pace:
    """What a message out and its echo took a bare client, in milliseconds (p50)."""

    round_trip: float

    @property
    def factor(self) -> float:
        """How many times slower than the reference; never below 1.

        >>> Pace(11.6).factor, Pace(2.0).factor
        (2.0, 1.0)
        """
        return max(1.0, self.round_trip / REFERENCE)

    def figures(self) -> dict[str, float]:
        """Give what is written down."""
        return {
            "bare_round_trip_p50_ms": round(self.round_trip, 2),
            "reference_ms": REFERENCE,
            "factor": round(self.factor, 2),
        }

    def line(self) -> Line:
        """Tell it in the table."""
        took = f"{self.round_trip:.1f} ms: {self.factor:.2f} x"
        return Line("pace: round trip of a bare client", f"{REFERENCE:g} ms = 1", took, met=True)

    def at_least(self, figure: str, limit: float, measured: float, unit: str) -> Line:
        """Judge a rate."""
        return self._said(at_least(figure, _three_digits(limit / self.factor), measured, unit), ">=", limit, unit)

    def at_most(self, figure: str, limit: float, measured: float, unit: str) -> Line:
        """Judge a time."""
        return self._said(at_most(figure, _three_digits(limit * self.factor), measured, unit), "<=", limit, unit)

    def _said(self, line: Line, sign: str, limit: float, unit: str) -> Line:
        if self.factor == 1.0:
            return line
        return Line(line.figure, f"{sign} {limit:g} {unit} at pace 1: {line.must}", line.measured, line.met)


def _three_digits(value: float) -> float:
    return float(f"{value:.3g}")
