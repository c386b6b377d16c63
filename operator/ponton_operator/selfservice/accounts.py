"""How the doors keep accounts: the seam between the account service and where the resources live.

The service above checks who may (quota, allowed owners); a store only keeps. The local implementation is
`cluster.local_accounts.LocalAccounts` (a folder of YAML), that on a cluster `cluster.kube_accounts.KubeAccounts`. What
a call means for an account is said once, at the end; the stores see to it that nobody else's change is lost.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ponton_bridge.model.errors import HostError, OwnerError
from ponton_operator.resources.account import AccountSpec, BridgeAccount, Desired, Preferences
from ponton_operator.resources.base import moment


class NoSuchAccount(OwnerError):
    """There is no account of that name (any more)."""

    condition = "item-not-found"
    kind = "cancel"


class AccountsUnavailable(HostError):
    """The place where accounts are kept cannot be read or written now; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Change:
    """An account as it is now (spec or status changed, or it is new); `gone` = it was the last that was seen of it."""

    account: BridgeAccount
    gone: bool = False


class AccountStore(Protocol):
    """All accounts of one gateway, by resource name (`resources.account.account_name`).

    Every method may raise AccountsUnavailable. What is given is a snapshot: `spec` as people and doors want it,
    `status` as the operator last wrote it, `metadata.deletion_timestamp` set while it is being deleted.
    """

    async def create(self, owner: str, preferences: Preferences | None = None) -> BridgeAccount:
        """Make the account of a prepared bare JID; if it exists it is given as it is, preferences untouched.

        An account that is being deleted is given with its deletion_timestamp: the caller asks the owner to wait.
        """

    async def get(self, name: str) -> BridgeAccount | None:
        """Give one account, or None."""

    async def list(self) -> list[BridgeAccount]:
        """Give all accounts, oldest first."""

    async def count(self) -> int:
        """Tell how many there are, those on their way out too; cheaper than a list."""

    async def patch(
        self, name: str, *, desired: Desired | None = None, preferences: Preferences | None = None
    ) -> BridgeAccount:
        """Change what is given, leave the rest. Raises NoSuchAccount."""

    async def wake(self, name: str) -> BridgeAccount:
        """Ask for a fresh start of a parked account (spec.wake + 1; desired Parked becomes Running).

        Harmless when it runs already; a Stopped account stays stopped (only the host starts it). Raises NoSuchAccount.
        """

    async def delete(self, name: str) -> None:
        """Ask for deletion; it goes on in the background. Harmless when there is none or it is under way."""

    def watch(self, name: str = "") -> AsyncGenerator[Change, None]:
        """Give every account once, then each change, newest state only, until the iterator is closed.

        With a name only the account that `get` finds by it.
        """


def changed(spec: AccountSpec, desired: Desired | None, preferences: Preferences | None) -> AccountSpec:
    """Give a spec with what `patch` was given; None leaves a field as it is."""
    given = {"desired": desired, "preferences": preferences}
    return spec.model_copy(update={key: value for key, value in given.items() if value is not None})


def woken(spec: AccountSpec) -> AccountSpec:
    """Give a spec as `wake` wants it: one more wake, and Parked becomes Running."""
    desired = Desired.RUNNING if spec.desired is Desired.PARKED else spec.desired
    return spec.model_copy(update={"wake": spec.wake + 1, "desired": desired})


def age(account: BridgeAccount) -> tuple[datetime, str]:
    """Give the key that sorts the oldest first; one without a time is older than any, names decide between equals."""
    return account.metadata.creation_timestamp or moment(0), account.metadata.name
