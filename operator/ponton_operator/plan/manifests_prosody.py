"""Prosody's half of a gateway, ready to be mounted: its configuration (a Secret) and the module (a ConfigMap).

Pure. Called by `plan.gateway`. A host with a Prosody of its own mounts both and includes the file; docs/operators.md
shows how. The configuration holds the master secret, so it is a Secret as a whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ponton_operator.plan.manifests_base import Component, Manifest, build, secret
from ponton_operator.resources.gateway import BridgeGateway, allowed_hosts

CONFIG: Final = "gateway.cfg.lua"  # key of the Secret, and the name under which it is mounted
MODULE: Final = "mod_component_shards"  # folder of the module below a plugin path
_TLS: Final = "-- Yours to set before: component_shards_tls_ssl, with certificate and key for the gateway's domain.\n"
# Rights of the component on the owners' host; no presence: the roster's subscriptions give it, at less cost.
_PRIVILEGES: Final[Mapping[str, object]] = {
    "roster": "both",
    "message": "outgoing",
    "iq": {
        "http://jabber.org/protocol/pubsub": "both",
        "http://jabber.org/protocol/pubsub#owner": "both",
        "urn:xmpp:http:upload:0": "get",
    },
}
_HEAD: Final = """\
-- Made by Ponton for the gateway {gateway}; changes are overwritten. Include it at the end of Prosody's configuration.
-- The module is in the ConfigMap {gateway}-prosody-module: mount it as {module} below a folder of plugin_paths.
-- mod_privilege comes from prosody-modules. Below, options of a VirtualHost replace those that were set for it before:
-- where a VirtualHost has modules_enabled or privileged_entities of its own, or serves a second gateway, write there
-- what stands here, and leave the VirtualHost out. An upload service has to let the gateway's domain in, too
-- (http_file_share_access); for many shards see the module's README.md.
"""


@dataclass(frozen=True, slots=True)
class Shared:
    """What both sides know: master secret, token of the HTTP view, the front desk's plain secret ('' = derived)."""

    master: str
    token: str
    front_desk: str = ""


def prosody(gateway: BridgeGateway, shared: Shared, module: Mapping[str, str]) -> list[Manifest]:
    """Make the pair; `module` gives the text of each of the module's files by its name."""
    name = gateway.metadata.name
    return [
        secret(gateway, f"{name}-prosody", Component.PROSODY, {CONFIG: configuration(gateway, shared)}),
        build(gateway, "ConfigMap", "v1", f"{name}-prosody-module", Component.PROSODY, {"data": dict(module)}),
    ]


def configuration(gateway: BridgeGateway, shared: Shared) -> str:
    """Write the part of Prosody's configuration that the gateway needs."""
    spec = gateway.spec
    kind = "component_shards_tls" if spec.xmpp.tls else "component_shards"
    everywhere = {f"{kind}_ports": [spec.xmpp.port], f"{kind}_interfaces": ["*"]}
    host = {"modules_enabled": ["privilege"], "privileged_entities": {spec.domain: _PRIVILEGES}}
    component: dict[str, object] = {
        "name": "WhatsApp",
        "modules_enabled": ["privilege"],
        "component_shards_master_secret": shared.master,
        "component_shards_admin_token": shared.token,
    }
    if shared.front_desk:
        component["component_secret"] = shared.front_desk
    if spec.shard.upload:
        component["component_shards_upload_hosts"] = [spec.shard.upload.host]
    sections = [
        _HEAD.format(gateway=gateway.metadata.name, module=MODULE) + (_TLS if spec.xmpp.tls else ""),
        _section("", everywhere),
        *(_section(f"VirtualHost {lua(name)}", host) for name in allowed_hosts(gateway)),
        _section(f'Component {lua(spec.domain)} "component_shards"', component),
    ]
    return "\n".join(sections)


def lua(value: object) -> str:
    """Spell text, numbers, lists and mappings in Lua.

    >>> lua({"a": [1, "b"]})
    '{ ["a"] = { 1; "b"; }; }'
    """
    if isinstance(value, str):
        return '"' + "".join(_spelled(letter) for letter in value) + '"'
    if isinstance(value, Mapping):
        return "{ " + "".join(f"[{lua(key)}] = {lua(inner)}; " for key, inner in value.items()) + "}"
    if isinstance(value, Sequence):
        return "{ " + "".join(f"{lua(inner)}; " for inner in value) + "}"
    return str(value)


def _spelled(letter: str) -> str:
    """Give a letter as a Lua string holds it: what could end the string or the line becomes its number."""
    return (
        letter if letter.isprintable() and letter not in '"\\' else "".join(f"\\{byte:03}" for byte in letter.encode())
    )


def _section(head: str, settings: Mapping[str, object]) -> str:
    return "".join(f"{line}\n" for line in ([head] if head else [])) + "".join(
        f"  {name} = {lua(value)}\n" for name, value in settings.items()
    )
