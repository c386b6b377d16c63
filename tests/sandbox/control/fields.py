"""Reading JSON requests: every field checked, every misspelt one refused.

Called by `api` and the handlers; raises ValueError with a sentence that names the field.
"""

import math
from collections.abc import Collection, Mapping
from typing import TypeVar

Kind = TypeVar("Kind")


class Fields:
    """The fields of a request's body or query, of which only the `known` may be there."""

    def __init__(self, data: object, known: Collection[str] = ()) -> None:
        if not isinstance(data, Mapping):
            raise ValueError("a request is a JSON object")  # noqa: TRY004 - the caller's mistake
        unknown = [repr(name) for name in data if name not in known]
        if unknown:
            raise ValueError(f"nobody understands {', '.join(unknown)}; known are {', '.join(known) or 'none'}")
        self._data: Mapping[str, object] = data

    def __contains__(self, name: str) -> bool:
        return self._data.get(name) is not None

    def text(self, name: str, default: str | None = None) -> str:
        """A text; without a default it must be there."""
        return self._typed(name, str, default, "a text")

    def number(self, name: str, default: float | None = None, *, least: float = 0) -> float:
        """A number of at least `least`; without a default it must be there."""
        given = self._data.get(name, default)
        value = given if isinstance(given, int | float) and not isinstance(given, bool) else _as_number(given)
        if value is None or not math.isfinite(value):
            raise ValueError(f"{name!r} must be a number")
        if value < least:
            raise ValueError(f"{name!r} must be at least {least:g}")
        return value

    def count(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """A whole number of at least `least`."""
        return int(self.number(name, default, least=least))

    def flag(self, name: str, *, default: bool | None = None) -> bool:
        """True or false."""
        return self._typed(name, bool, default, "true or false")

    def texts(self, name: str, default: list[str] | None = None) -> list[str]:
        """A list of texts."""
        value = self._typed(name, list, default, "a list of texts")
        if not all(isinstance(each, str) for each in value):
            raise ValueError(f"{name!r} must be a list of texts")
        return value

    def object(self, name: str) -> Mapping[str, object] | None:
        """A JSON object, None if it is not there."""
        return self._typed(name, dict, {}, "a JSON object") or None

    def _typed(self, name: str, kind: type[Kind], default: Kind | None, words: str) -> Kind:
        value = self._data.get(name, default)
        if value is None:
            raise ValueError(f"{name!r} is missing")
        if not isinstance(value, kind):
            raise ValueError(f"{name!r} must be {words}")  # noqa: TRY004 - the caller's mistake
        return value


def _as_number(given: object) -> float | None:
    try:
        return float(given) if isinstance(given, str) else None
    except ValueError:
        return None
