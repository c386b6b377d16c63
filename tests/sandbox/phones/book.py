"""A phone's app state: its sync key, its replicas, and the patches that go to and come from companions.

Called by `phone`. The network keeps the patches; what they say only the account's own devices can read.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from tests.sandbox.phones.appstate import COLLECTIONS, AppStateError, Mutation, MutationKeys, Replica, SyncKey
from tests.sandbox.phones.line import Line
from tests.sandbox.proto import wa_sync_action


@dataclass(slots=True, eq=False)
class Book:
    """The app state of one phone."""

    line: Line
    key: SyncKey = field(init=False)
    replicas: dict[str, Replica] = field(default_factory=lambda: {n: Replica(n) for n in COLLECTIONS})
    _keys: dict[bytes, MutationKeys] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.key = SyncKey.generate(self.line.random, self.line.network.now())
        self._keys[self.key.id] = self.key.expand()

    def change(self, changes: Iterable[tuple[str, Mutation]]) -> None:
        """Make changes (collection, mutation) and publish them, one patch per collection.

        Raises AppStateError for an unknown collection, or where the network has patches that were unreadable
        here, so that this phone can no longer write.
        """
        by_collection: dict[str, list[Mutation]] = {}
        for collection, mutation in changes:
            by_collection.setdefault(collection, []).append(self._dated(mutation))
        for collection, mutations in by_collection.items():
            before = self._replica(collection)
            patch, after = before.write(mutations, self.key, self.line.random)
            account, network = self.line.account, self.line.network
            version = network.app_state_patch(account, collection, before.version, patch, by=0)
            if version != after.version:
                raise AppStateError(f"{collection} holds patches that this phone could not read")
            self.replicas[collection] = after

    def apply(self, collection: str, version: int, patch: bytes) -> list[Mutation]:
        """Take over a companion's patch; raises AppStateError and then changes nothing."""
        before = self._replica(collection)
        if version != before.version + 1:
            raise AppStateError(f"{collection} goes from version {before.version} to {version}")
        mutations, self.replicas[collection] = before.read(patch, self._keys)
        return mutations

    def _dated(self, mutation: Mutation) -> Mutation:
        """The change with the time at which it was made, in milliseconds, unless it has one."""
        if mutation.value.timestamp:
            return mutation
        value = wa_sync_action.SyncActionValue()
        value.CopyFrom(mutation.value)
        value.timestamp = int(self.line.network.now() * 1000)
        return replace(mutation, value=value)

    def _replica(self, collection: str) -> Replica:
        if (replica := self.replicas.get(collection)) is None:
            raise AppStateError(f"there is no collection {collection}; known are {', '.join(COLLECTIONS)}")
        return replica
