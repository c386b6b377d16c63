"""What an owner can choose, by the names that doors use, and how a shard is told. Pure."""

from collections.abc import Mapping
from typing import Final

from ponton_bridge.coordination.contract import Choices
from ponton_operator.resources.account import Preferences

NAMES: Final = {"receipts": "read_receipts", "typing": "typing", "presence": "presence"}  # of a choice -> its field


def chosen(preferences: Preferences) -> dict[str, bool]:
    """Give what holds, by the names that doors use."""
    return {name: getattr(preferences, field) for name, field in NAMES.items()}


def choose(preferences: Preferences, wanted: Mapping[str, bool]) -> Preferences:
    """Give preferences with what is wanted, as a newer revision; names that are none are left out."""
    fields = {NAMES[name]: on for name, on in wanted.items() if name in NAMES}
    return preferences.model_copy(update={**fields, "revision": preferences.revision + 1})


def choices_of(preferences: Preferences) -> Choices:
    """Give what the shard is told."""
    said = {name: int(on) for name, on in chosen(preferences).items()}
    return Choices(revision=preferences.revision, **said)
