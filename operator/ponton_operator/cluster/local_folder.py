"""The folder of accounts: YAML that people and doors write, and beside each file the status that the runtime writes.

`NAME.yaml` is what is wanted; `NAME.status.yaml` is the whole resource as an API server would give it (metadata, the
spec that was last taken, status), replaced at once. A status without its YAML is an account that is to be deleted.
Read by polling: a scan costs one stat a file, a file is read when its stamp changed. Called by the runtime and by
`local_accounts`, each with a `Folder` of its own.
"""

import contextlib
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ponton_bridge.model.errors import OwnerError
from ponton_bridge.model.jid import prepare_bare
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.yamlfile import MAX_BYTES, BadResource, load

POLL: Final = 0.08  # seconds between two looks; a change is seen within 100 ms
REST: Final = 5.0  # times as long as the look itself took, if that is more: at most a sixth of one core
FRESH: Final = 0.1  # seconds: a file that was just written may still be being written, and its stamp may not differ
STATUS: Final = ".status.yaml"
FILE: Final = "ponton.im/file"  # annotation in a status: the name of the file that holds the account
_ADDRESS: Final = re.compile(r"[@+]|[0-9]{6}")  # file names that may hold an address are not told to logs

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Problem:
    """A file that cannot be taken; `sentence` is for the host, not for logs."""

    file: str
    sentence: str

    @property
    def hidden(self) -> str:
        """The file's name as a log may hold it."""
        return "(not told)" if _ADDRESS.search(self.file.removesuffix(".yaml")) else self.file


@dataclass(slots=True)
class _File:
    stamp: Stamp
    account: BridgeAccount | None
    problem: Problem | None


@dataclass(slots=True)
class Folder:
    """What the YAML files say. `accounts` (by resource name), `files` and `problems` are as of the last scan.

    `kept` names resources that stand in a file but are not served (another gateway's). A file that was never readable
    is in `unknown`: nobody can tell whose it is, so nothing may be concluded from a name that is missing.
    """

    path: Path
    gateway: str
    accounts: dict[str, BridgeAccount] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()
    _files: dict[str, _File] = field(default_factory=dict)

    def scan(self, now: float | None = None) -> bool:
        """Look at every file; gives whether anything changed. Raises OSError when the folder cannot be read."""
        now = time.time() if now is None else now
        found = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                name = entry.name
                if name.endswith(".yaml") and not name.endswith(STATUS) and not name.startswith("."):
                    with contextlib.suppress(FileNotFoundError):
                        stat = entry.stat()
                        found[name] = self._look(name, (stat.st_mtime_ns, stat.st_size, stat.st_ino), now)
        changed = found.keys() != self._files.keys() or any(self._files[k] is not v for k, v in found.items())
        self._files = found
        if changed:
            self._gather()
        return changed

    def _look(self, name: str, stamp: Stamp, now: float) -> _File:
        known = self._files.get(name)
        if known and known.stamp == stamp:
            return known
        # Until it has settled a file gets no stamp, so that it is read again; half of one is no problem yet.
        settled = now - stamp[0] / 1e9 > FRESH
        mark = stamp if settled else (0, 0, 0)
        problem: Problem | None = None
        account = known.account if known else None  # what a bad edit leaves as it is
        try:
            account = self._read(self.path / name)
        except (BadResource, OwnerError, OSError) as error:
            if settled:
                problem = Problem(name, str(error))
        if known and (known.account, known.problem) == (account, problem):
            known.stamp = mark
            return known
        return _File(mark, account, problem)

    def _read(self, path: Path) -> BridgeAccount:
        with path.open("rb") as file:
            account = load(BridgeAccount, file.read(MAX_BYTES + 1))
        owner = prepare_bare(account.spec.owner)
        return account.model_copy(update={"spec": account.spec.model_copy(update={"owner": owner})})

    def _gather(self) -> None:
        accounts: dict[str, BridgeAccount] = {}
        files: dict[str, Path] = {}
        kept, problems = set(), []
        for name, file in sorted(self._files.items()):
            if file.problem:
                problems.append(file.problem)
            if file.account is None:
                continue
            key = file.account.metadata.name
            if file.account.spec.gateway_ref.name != self.gateway:
                kept.add(key)
                problems.append(Problem(name, f"spec.gatewayRef.name: this runtime serves only {self.gateway}"))
            elif key in files:
                problems.append(Problem(name, f"metadata.name: {files[key].name} has the same name"))
            else:
                accounts[key], files[key] = file.account, self.path / name
        self.accounts, self.files, self.kept, self.problems = accounts, files, frozenset(kept), tuple(problems)
        self.unknown = frozenset(name for name, file in self._files.items() if file.account is None)

    def is_gone(self, name: str, file: str) -> bool:
        """Whether no file holds the resource of this name any more; `file` held it last ('' not known)."""
        if name in self.accounts or name in self.kept:
            return False
        return file not in self.unknown if file else not self.unknown

    def status_file(self, name: str) -> Path:
        """Give the file of a resource's status."""
        return self.path / f"{name}{STATUS}"

    def statuses(self) -> set[str]:
        """Give the names of all resources that have a status. Raises OSError."""
        return {entry.name.removesuffix(STATUS) for entry in self.path.glob(f"[!.]*{STATUS}")}

    def read_status(self, name: str) -> BridgeAccount | None:
        """Give the whole resource as the runtime last wrote it; None when there is none, or nothing readable."""
        try:
            return load(BridgeAccount, self.status_file(name).read_bytes())
        except (OSError, BadResource):
            return None
