"""Folders of tests that are collected only when they are named on the command line, and take their time.

Called by the conftest of each: pytest hands its hooks the folder of nobody.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest


def unless_named(folder: Path, config: pytest.Config) -> bool | None:
    """Answer pytest_ignore_collect: leave the folder alone unless a path on the command line leads into it."""
    asked = (Path(argument.partition("::")[0]).resolve() for argument in config.args)
    return None if any(path == folder or folder in path.parents for path in asked) else True


def give_time(folder: Path, items: Iterable[pytest.Item], seconds: int) -> None:
    """Give the tests of the folder that say nothing themselves so many seconds."""
    for item in items:
        if folder in item.path.parents and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(seconds))
