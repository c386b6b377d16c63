"""Everything that a gateway's Secrets hold, checked, with a sentence for each reference that cannot be used.

Called by the gateways operator at each look: Secrets are not watched, since others' would come with them. What is given
is a snapshot. (Shards are started with `kube_gateway`, which stops at the first thing that is wrong.)
"""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ponton_bridge.model.errors import HostError
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Forbidden
from ponton_operator.cluster.kube_kinds import SECRETS, Obj
from ponton_operator.cluster.prosody import ProsodyControl
from ponton_operator.resources.base import SecretRef
from ponton_operator.resources.gateway import BridgeGateway

MAX_SECRET: Final = 65_536  # bytes of one value; a CA bundle of a company has some 10 KiB
MIN_TOKEN: Final = 16  # characters, as the module asks for
_PEM: Final = "-----BEGIN CERTIFICATE-----"


class SecretUnusable(HostError):
    """A Secret to which the gateway refers cannot be used; the text says which and why, never what it holds."""


class SecretMissing(SecretUnusable):
    """There is no such Secret, or no such key in it."""


@dataclass(frozen=True, slots=True)
class GatewaySecrets:
    """Of one gateway; `texts` holds what could be read, `wrong` why a reference cannot be used."""

    resource: BridgeGateway
    texts: Mapping[SecretRef, str] = field(repr=False)
    wrong: Mapping[SecretRef, SecretUnusable]

    @property
    def problems(self) -> tuple[str, ...]:
        """Give a sentence for each reference that cannot be used."""
        return tuple(dict.fromkeys(error.sentence for error in self.wrong.values()))

    @property
    def missing(self) -> bool:
        """Whether a Secret, or a key of one, is not there."""
        return any(isinstance(error, SecretMissing) for error in self.wrong.values())

    @property
    def master(self) -> str:
        """The master secret. Raises SecretUnusable."""
        return self.read(self.resource.spec.secrets.master_ref)

    @property
    def redis_url(self) -> str:
        """The control plane's own URL. Raises SecretUnusable."""
        return self.read(self.resource.spec.redis.url_ref)

    def read(self, ref: SecretRef) -> str:
        """Give the text of a reference of this gateway. Raises SecretUnusable."""
        if ref in self.wrong:
            raise self.wrong[ref]
        return self.texts[ref]

    def prosody(self) -> ProsodyControl:
        """Give the control of Prosody. Raises SecretUnusable."""
        spec = self.resource.spec
        ca = self.read(spec.prosody.ca_ref) if spec.prosody.ca_ref else ""
        return ProsodyControl(spec.prosody.url, spec.domain, self.read(spec.prosody.token_ref), ca)


def references(resource: BridgeGateway) -> dict[SecretRef, str]:
    """Give all references of a gateway with what each is: '' text, 'token', or 'authority'."""
    spec = resource.spec
    oidc = spec.selfservice.portal.oidc if spec.selfservice.portal else None
    found: dict[SecretRef | None, str] = {
        spec.secrets.master_ref: "",
        spec.redis.url_ref: "",
        spec.secrets.front_desk_ref: "",
        spec.prosody.token_ref: "token",
        spec.prosody.ca_ref: "authority",
        spec.xmpp.tls.ca_ref if spec.xmpp.tls else None: "authority",
        spec.shard.upload.ca_ref if spec.shard.upload else None: "authority",
        oidc.client_secret_ref if oidc else None: "",
        oidc.ca_ref if oidc else None: "authority",
    }
    return {ref: kind for ref, kind in found.items() if ref is not None}


async def read_secrets(api: KubeApi, resource: BridgeGateway) -> GatewaySecrets:
    """Read the Secrets of a gateway, each once. Raises KubeError when the API cannot be asked now."""
    texts: dict[SecretRef, str] = {}
    wrong: dict[SecretRef, SecretUnusable] = {}
    wanted = references(resource)
    for name in sorted({ref.name for ref in wanted}):
        keys = {ref: kind for ref, kind in wanted.items() if ref.name == name}
        try:
            secret = await api.find(SECRETS, resource.metadata.namespace, name)
        except Forbidden:
            wrong |= dict.fromkeys(keys, SecretUnusable(f"Secret {name}: the operator may not read it."))
            continue
        for ref, kind in keys.items():
            try:
                texts[ref] = _text(secret, ref, kind)
            except SecretUnusable as error:
                wrong[ref] = error
    return GatewaySecrets(resource, texts, wrong)


def _text(secret: Obj | None, ref: SecretRef, kind: str) -> str:
    """Give the text of a key, without the line end that editors add. Raises SecretUnusable."""
    said = f"Secret {ref.name}"
    if secret is None:
        raise SecretMissing(f"{said}: there is none in the gateway's namespace.")
    value = (secret.get("data") or {}).get(ref.key)
    if not isinstance(value, str):
        raise SecretMissing(f"{said}: it has no key {ref.key}.")
    try:
        raw = b64decode(value, validate=True)
        text = raw.decode().strip("\r\n")
    except ValueError:
        raise SecretUnusable(f"{said}: its key {ref.key} is not text.") from None
    if not text:
        raise SecretMissing(f"{said}: its key {ref.key} is empty.")
    if len(raw) > MAX_SECRET:
        raise SecretUnusable(f"{said}: its key {ref.key} is longer than {MAX_SECRET} bytes.")
    if kind == "token" and len(text) < MIN_TOKEN:
        raise SecretUnusable(f"{said}: the token {ref.key} has less than {MIN_TOKEN} characters.")
    if kind == "authority" and _PEM not in text:
        raise SecretUnusable(f"{said}: its key {ref.key} is no certificate (PEM).")
    return text
