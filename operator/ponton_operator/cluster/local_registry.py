"""The accounts that the local runtime holds: what the folder wants, with what was decided before, as whole resources.

Does what an API server does on a cluster: generation, creation time, immutable fields, deletion. Called by
`local_runtime` after each look at the folder.
"""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.shard.logs import Log
from ponton_operator.cluster.events import Event
from ponton_operator.cluster.local_folder import FILE, Folder, Problem
from ponton_operator.cluster.reconcile import Held
from ponton_operator.plan.fleet import Owners
from ponton_operator.resources.account import AccountStatus, BridgeAccount
from ponton_operator.resources.base import Metadata, moment

# Seconds that a file must be missing before its account counts as deleted: editors remove and write anew.
GONE_AFTER: Final = 0.5


@dataclass(slots=True)
class LocalHeld(Held):
    """One account of the folder."""

    missing: float | None = None  # since when there is no file
    wanted: BridgeAccount | None = None  # what the file said when it was taken last


@dataclass(slots=True)
class Registry:
    """All accounts by name; `owners` knows which of two of one owner counts."""

    folder: Folder
    log: Log
    clock: Callable[[], float] = time.time
    held: dict[str, LocalHeld] = field(default_factory=dict)
    owners: Owners = field(default_factory=Owners)
    _refused: dict[str, str] = field(default_factory=dict)  # by account: an edit that cannot be taken
    _reported: tuple[Problem, ...] = ()
    _unreadable: str = ""

    @property
    def unsettled(self) -> bool:
        """Whether another look is needed although no file changed."""
        missing = any(held.missing is not None for held in self.held.values())
        return missing or not self.folder.accounts.keys() <= self.held.keys()

    def look(self) -> bool:
        """Look at the folder; gives whether anything changed. Raises OSError, and tells so as long as it lasts."""
        try:
            changed = self.folder.scan()
        except OSError as error:
            self._unreadable = f"The folder of accounts cannot be read ({error.strerror}); everything stays as it is."
            raise
        self._unreadable = ""
        return changed

    def recover(self) -> None:
        """Take in accounts that have a status but no readable file. Raises OSError.

        Either the file is gone, so their deletion goes on, or it is broken, so what it said last still counts.
        """
        for name in self.folder.statuses() - self.folder.accounts.keys():
            if account := self.folder.read_status(name):
                self._put(name, LocalHeld(account, missing=self.clock()))

    def take(self) -> set[str]:
        """Bring what is held up to date with the folder; gives the names to plan."""
        dirty: set[str] = set()
        self._report()
        for name, wanted in self.folder.accounts.items():
            held = self.held.get(name)
            if held is None:
                dirty |= self._add(name, wanted)
            elif held.account.metadata.deletion_timestamp is None:
                if held.wanted is not wanted:  # the folder gives the same object as long as the file is the same
                    dirty |= self._update(name, held, wanted)
                dirty |= self._found(name, held)
        for name in [n for n in self.held if n not in self.folder.accounts]:
            dirty |= self._missing(name, self.held[name])
        return dirty

    def drop(self, name: str) -> set[str]:
        """Forget an account; gives the names to plan instead."""
        self.held.pop(name, None)
        self._refused.pop(name, None)
        return self.owners.drop(name)

    def problems(self) -> list[str]:
        """Give sentences about files and edits that could not be taken."""
        folder = [self._unreadable] if self._unreadable else []
        files = [f"{p.file}: {line}" for p in self.folder.problems for line in p.sentence.splitlines()]
        return folder + files + list(self._refused.values())

    # ---- inside --------------------------------------------------------------------------------------------

    def _add(self, name: str, wanted: BridgeAccount) -> set[str]:
        before = self.folder.read_status(name)
        if before and before.metadata.deletion_timestamp:
            return self._put(name, LocalHeld(before))  # the deletion is finished first; the file is a new account then
        metadata = before.metadata if before else wanted.metadata.model_copy(update={"generation": 1})
        if metadata.creation_timestamp is None or not metadata.uid:
            made = metadata.creation_timestamp or moment(self.clock())
            metadata = metadata.model_copy(
                update={"uid": metadata.uid or str(uuid.uuid4()), "creation_timestamp": made}
            )
        status = before.status if before else AccountStatus()
        spec = before.spec if before else wanted.spec
        held = LocalHeld(BridgeAccount(metadata=metadata, spec=spec, status=status))
        self.log(Event.ACCOUNT_ADDED, account=name)
        return self._put(name, held) | self._update(name, held, wanted) | {name}

    def _update(self, name: str, held: LocalHeld, wanted: BridgeAccount) -> set[str]:
        old, held.wanted = held.account, wanted
        self._refused.pop(name, None)
        spec = wanted.spec
        if spec.owner != old.spec.owner:
            file = self.folder.files[name].name
            self._refused[name] = (
                f"{file}: spec.owner: the owner cannot be changed; delete the account and make another"
            )
            spec = old.spec
        metadata = self._metadata(name, old.metadata, wanted.metadata)
        if spec != old.spec:
            metadata = metadata.model_copy(update={"generation": metadata.generation + 1})
        if (spec, metadata) == (old.spec, old.metadata):
            return set()
        return self._put(name, held, old.model_copy(update={"spec": spec, "metadata": metadata}))

    def _metadata(self, name: str, old: Metadata, wanted: Metadata) -> Metadata:
        annotations = wanted.annotations | {FILE: self.folder.files[name].name}
        return old.model_copy(update={"annotations": annotations, "labels": wanted.labels})

    def _put(self, name: str, held: LocalHeld, account: BridgeAccount | None = None) -> set[str]:
        held.account = account or held.account
        self.held[name] = held
        return self.owners.put(held.account) | {name}

    def _missing(self, name: str, held: LocalHeld) -> set[str]:
        """Conclude that an account is to be deleted, once its file is surely gone while its status is there."""
        metadata = held.account.metadata
        if metadata.deletion_timestamp or not self.folder.is_gone(name, metadata.annotations.get(FILE, "")):
            return self._found(name, held)
        now = self.clock()
        held.missing = now if held.missing is None else held.missing
        if now - held.missing < GONE_AFTER:
            return set()
        if not self.folder.status_file(name).exists():
            self.log(Event.ACCOUNT_VANISHED, "warning", account=name)
            return self.drop(name) | {name}
        held.missing = None
        gone = metadata.model_copy(update={"deletion_timestamp": moment(now)})
        return self._put(name, held, held.account.model_copy(update={"metadata": gone}))

    def _found(self, name: str, held: LocalHeld) -> set[str]:
        was, held.missing = held.missing, None
        return set() if was is None else {name}

    def _report(self) -> None:
        """Log problems when they change; the sentences are for the status only, they may hold what people wrote."""
        if self.folder.problems != self._reported:
            self._reported = self.folder.problems
            for problem in self._reported:
                self.log(Event.FILE_REFUSED, "warning", file=problem.hidden)
            if not self._reported:
                self.log(Event.FILES_ACCEPTED)
