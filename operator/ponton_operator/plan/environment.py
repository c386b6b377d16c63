"""What a shard (or the front desk) is told: its environment, and the fingerprint of it all, the revision.

Pure, for every driver: processes on one machine and pods get the same. Names and meanings are those of docs/shard.md.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ponton_bridge.coordination.contract import Choices
from ponton_bridge.whatsapp.neonize_driver.environment import WANTED
from ponton_operator.plan.preferences import choices_of
from ponton_operator.resources.account import BridgeAccount
from ponton_operator.resources.base import SecretRef
from ponton_operator.resources.gateway import BridgeGateway, XmppServer


@dataclass(frozen=True, slots=True)
class Places:
    """Where the process finds its files: the store's and the secrets' folder, and authorities (PEM files, '' none)."""

    store: str
    secrets: str
    xmpp_ca: str = ""
    upload_ca: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What a process is told: its variables, and its secret files by name."""

    environment: Mapping[str, str]
    secrets: Mapping[str, str]


OIDC_SECRET: Final = "oidc-secret"  # noqa: S105  # the name of a file among the portal's secrets
OIDC_CA: Final = "oidc-ca.pem"
_REVISION_CHARS: Final = 12  # hex digits: compared for equality only


def revision(gateway: BridgeGateway, version: str) -> str:
    """Give the fingerprint of what a new shard would run: the program's version, where it connects, its template."""
    spec = gateway.spec.model_dump(mode="json", include={"domain", "xmpp", "shard"})
    text = json.dumps([version, spec], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_REVISION_CHARS]


def shard_environment(
    gateway: BridgeGateway, account: BridgeAccount, epoch: int, instance: str, places: Places
) -> dict[str, str]:
    """Give the environment of an account's shard; its status must be the one that was written for this epoch."""
    template = gateway.spec.shard
    limits, choices = template.limits, choices_of(account.spec.preferences)
    told = _common(gateway, epoch, instance, places) | {
        "PONTON_ACCOUNT": account.metadata.name,
        "PONTON_STORE": places.store,
        "PONTON_PREVIOUS_EPOCH": str(account.status.store_epoch or ""),
        "PONTON_UPLOAD_HOST": template.upload.host if template.upload else "",
        "PONTON_UPLOAD_CA": places.upload_ca,
        "PONTON_CODES": str(template.codes_per_attempt),
        "PONTON_WHATSAPP": "" if template.driver == "Auto" else template.driver.lower(),
        "PONTON_SEND_PER_MINUTE": str(limits.per_minute),
        "PONTON_SEND_BURST": str(limits.burst),
        "PONTON_NEW_CONTACTS_PER_HOUR": str(limits.new_contacts_per_hour),
        "PONTON_NEW_CONTACTS_PER_DAY": str(limits.new_contacts_per_day),
        "PONTON_CHOICES": "" if choices == Choices() else choices.to_json(),
        "HTTPS_PROXY": template.egress.proxy,
    }
    return dict(WANTED) | _said(told)


def front_desk_environment(
    gateway: BridgeGateway, epoch: int, instance: str, places: Places, local: Mapping[str, str]
) -> dict[str, str]:
    """Give the environment of the front desk; `local` is what only one kind of driver tells (files, on one machine)."""
    return _said(_common(gateway, epoch, instance, places) | dict(local))


def portal_environment(
    gateway: BridgeGateway, epoch: int, instance: str, places: Places, local: Mapping[str, str]
) -> dict[str, str]:
    """Give the environment of the portal, which has no stream; `local` as above."""
    told = _common(gateway, epoch, instance, places)
    return _said({name: value for name, value in told.items() if not name.startswith("PONTON_XMPP_")} | dict(local))


def portal_references(gateway: BridgeGateway) -> dict[str, SecretRef]:
    """Give what the portal's own secrets are made of, by the name of the file."""
    portal = gateway.spec.selfservice.portal
    if portal is None or portal.oidc is None:
        return {}
    refs = {OIDC_SECRET: portal.oidc.client_secret_ref, OIDC_CA: portal.oidc.ca_ref}
    return {name: ref for name, ref in refs.items() if ref}


def _common(gateway: BridgeGateway, epoch: int, instance: str, places: Places) -> dict[str, str]:
    xmpp: XmppServer = gateway.spec.xmpp
    return {
        "PONTON_GATEWAY": gateway.metadata.name,
        "PONTON_DOMAIN": gateway.spec.domain,
        "PONTON_EPOCH": str(epoch),
        "PONTON_INSTANCE": instance,
        "PONTON_SECRETS": places.secrets,
        "PONTON_XMPP_HOST": xmpp.host,
        "PONTON_XMPP_PORT": str(xmpp.port),
        "PONTON_XMPP_CA": places.xmpp_ca,
        "PONTON_LOG_LEVEL": gateway.spec.shard.log_level,
    }


def _said(told: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in told.items() if value}
