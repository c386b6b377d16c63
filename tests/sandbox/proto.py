"""WhatsApp's protobuf messages, as the installed neonize ships them, without loading its Go library.

Imported by whatever needs one: `from tests.sandbox.proto import wa_e2e`. Nothing is typed in here, so the sandbox
follows the library's version by itself.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING


def library_folder() -> Path:
    """Where neonize is installed, found without importing it; raises ModuleNotFoundError without it."""
    spec = importlib.util.find_spec("neonize")
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError("the sandbox needs neonize installed: install the extra `bridge`")
    return Path(next(iter(spec.submodule_search_locations)))


def load(name: str) -> ModuleType:
    """One of neonize's generated modules, for example `waWeb.WAWebProtobufsWeb_pb2`.

    The generated files import each other as top-level packages, so their folder belongs on the module path
    (at its end: nothing of theirs may hide anything).
    """
    folder = str(library_folder() / "proto")
    if folder not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(name)


if TYPE_CHECKING:
    from neonize.proto.waAdv import WAAdv_pb2 as wa_adv
    from neonize.proto.waCert import WACert_pb2 as wa_cert
    from neonize.proto.waCompanionReg import WACompanionReg_pb2 as wa_companion_reg
    from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as wa_e2e
    from neonize.proto.waServerSync import WAWebProtobufsServerSync_pb2 as wa_server_sync
    from neonize.proto.waSyncAction import WAWebProtobufSyncAction_pb2 as wa_sync_action
    from neonize.proto.waWa6 import WAWebProtobufsWa6_pb2 as wa_wa6
else:
    wa_adv = load("waAdv.WAAdv_pb2")
    wa_cert = load("waCert.WACert_pb2")
    wa_companion_reg = load("waCompanionReg.WACompanionReg_pb2")
    wa_e2e = load("waE2E.WAWebProtobufsE2E_pb2")
    wa_server_sync = load("waServerSync.WAWebProtobufsServerSync_pb2")
    # COMPAT: neonize 0.5.2 also ships a stale WASyncAction_pb2 that does not import; this is the good one.
    wa_sync_action = load("waSyncAction.WAWebProtobufSyncAction_pb2")
    wa_wa6 = load("waWa6.WAWebProtobufsWa6_pb2")

__all__ = [
    "library_folder",
    "load",
    "wa_adv",
    "wa_cert",
    "wa_companion_reg",
    "wa_e2e",
    "wa_server_sync",
    "wa_sync_action",
    "wa_wa6",
]
