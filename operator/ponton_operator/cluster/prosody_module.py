"""The files of Prosody's module, as they are part of this installation: for the ConfigMap that a Prosody mounts.

A wheel carries them as package data, a checkout has them in bridge/prosody. The gateways operator reads them once.
"""

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.plan.manifests_prosody import MODULE

PACKAGED: Final = "prosody_module"  # folder in the package, see pyproject.toml
_CHECKOUT: Final = Path(__file__).parents[3] / "bridge" / "prosody" / MODULE


class ModuleMissing(HostError):
    """This installation lacks the module's files."""


def module_files() -> dict[str, str]:
    """Give the text of each Lua file by its name. Raises ModuleMissing."""
    places: tuple[Traversable, ...] = (files("ponton_operator") / PACKAGED, _CHECKOUT)
    for place in places:
        if (place / f"{MODULE}.lua").is_file():
            found = (file for file in place.iterdir() if file.name.endswith(".lua"))
            return {file.name: file.read_text(encoding="utf-8") for file in sorted(found, key=lambda file: file.name)}
    raise ModuleMissing("The files of Prosody's module are not part of this installation.")
