"""Writes the configuration of a private Prosody (called by `tests.harness.prosody` only).

Everything is on 127.0.0.1 and below one folder; nothing of the machine's own Prosody is read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.harness.authority import Certificate

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "bridge" / "prosody"

LuaScalar = str | int | float | bool
LuaValue = LuaScalar | Sequence["LuaValue"] | Mapping[str, "LuaValue"]

_GLOBAL_MODULES = ("admin_shell", "http", "http_openmetrics", "tls")
_HOST_MODULES = (
    "roster",
    "saslauth",
    "disco",
    "carbons",
    "smacks",
    "mam",
    "pep",
    "bookmarks",
    "blocklist",
    "private",
    "vcard_legacy",
    "ping",
    "offline",
    "csi_simple",
    "privilege",
)


@dataclass(frozen=True)
class Ports:
    """Every port of one Prosody, all on 127.0.0.1."""

    c2s: int
    shards: int
    shards_tls: int
    http: int
    https: int


@dataclass(frozen=True)
class Secrets:
    """What the two sides share; `master` derives each stream's own secret."""

    master: str
    gateway: str
    admin_token: str


@dataclass(frozen=True)
class Layout:
    """Where the private Prosody lives."""

    root: Path

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.root / "prosody.cfg.lua"

    @property
    def data(self) -> Path:
        """Prosody's data path."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The log file."""
        return self.root / "prosody.log"

    @property
    def output(self) -> Path:
        """What Prosody writes to stdout and stderr."""
        return self.root / "prosody.out"

    @property
    def pidfile(self) -> Path:
        """The pid file."""
        return self.root / "prosody.pid"


@dataclass(frozen=True)
class Options:
    """What a caller may add; each mapping becomes `key = value` lines at its place in the file."""

    everywhere: Mapping[str, LuaValue] = field(default_factory=dict)
    host: Mapping[str, LuaValue] = field(default_factory=dict)
    component: Mapping[str, LuaValue] = field(default_factory=dict)
    upload: Mapping[str, LuaValue] = field(default_factory=dict)
    modules: Sequence[str] = ()
    without_modules: Sequence[str] = ()
    privileges: Mapping[str, LuaValue] | None = None
    log_level: str = "info"
    more: str = ""  # Lua text at the end of the file: further hosts and components


def lua(value: LuaValue) -> str:
    """Spell `value` in Lua: `lua({"a": [1, True]})` is `{ ["a"] = { 1; true; }; }`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'"{escaped}"'
    if isinstance(value, Mapping):
        return "{ " + "".join(f"[{lua(k)}] = {lua(v)}; " for k, v in value.items()) + "}"
    return "{ " + "".join(f"{lua(v)}; " for v in value) + "}"


DEFAULT_PRIVILEGES: Mapping[str, LuaValue] = {
    "roster": "both",
    "message": "outgoing",
    "iq": {
        "http://jabber.org/protocol/pubsub": "both",
        "http://jabber.org/protocol/pubsub#owner": "both",
        "urn:xmpp:http:upload:0": "get",
    },
}


def render(
    *,
    layout: Layout,
    domain: str,
    component: str,
    upload: str,
    ports: Ports,
    secrets: Secrets,
    certificate: Certificate,
    options: Options,
    as_root: bool,
) -> str:
    """The whole configuration file as text."""
    tls = {"certificate": str(certificate.certificate), "key": str(certificate.key)}
    everywhere: dict[str, LuaValue] = {
        "pidfile": str(layout.pidfile),
        "data_path": str(layout.data),
        "log": {options.log_level: str(layout.log)},
        "plugin_paths": [str(MODULE_FOLDER)],
        "certificates": str(layout.root / "certificates"),
        "interfaces": ["127.0.0.1"],
        "use_ipv6": False,
        "c2s_ports": [ports.c2s],
        "http_ports": [ports.http],
        "http_interfaces": ["127.0.0.1"],
        "https_ports": [ports.https],
        "component_shards_ports": [ports.shards],
        "component_shards_tls_ports": [ports.shards_tls],
        "component_shards_tls_ssl": tls,
        "ssl": tls,
        "c2s_require_encryption": True,
        "authentication": "internal_plain",
        "storage": "internal",
        "default_archive_policy": True,
        "statistics": "internal",
        "statistics_interval": "manual",
        "network_settings": {"max_connections": 20000},
        "http_default_host": component,
        "admin_socket": str(layout.root / "admin.sock"),
        "modules_enabled": [m for m in (*_GLOBAL_MODULES, *options.modules) if m not in options.without_modules],
        "modules_disabled": ["s2s", "s2s_auth_certs", *options.without_modules],
        **({"run_as_root": True} if as_root else {}),
        **options.everywhere,
    }
    host: dict[str, LuaValue] = {
        "modules_enabled": [m for m in _HOST_MODULES if m not in options.without_modules],
        "privileged_entities": {component: DEFAULT_PRIVILEGES if options.privileges is None else options.privileges},
        **options.host,
    }
    shards: dict[str, LuaValue] = {
        "name": "WhatsApp",
        "modules_enabled": ["privilege"],
        "component_secret": secrets.gateway,
        "component_shards_master_secret": secrets.master,
        "component_shards_admin_token": secrets.admin_token,
        "component_shards_upload_hosts": [upload],
        **options.component,
    }
    files: dict[str, LuaValue] = {
        "http_host": "localhost",
        "http_external_url": f"https://localhost:{ports.https}/",
        "http_file_share_access": [domain, component],
        **options.upload,
    }
    return "\n".join(
        [
            *_lines(everywhere),
            f"VirtualHost {lua(domain)}",
            *_lines(host),
            f'Component {lua(component)} "component_shards"',
            *_lines(shards),
            f'Component {lua(upload)} "http_file_share"',
            *_lines(files),
            options.more,
            "",
        ]
    )


def _lines(settings: Mapping[str, LuaValue]) -> list[str]:
    return [f"{key} = {lua(value)}" for key, value in settings.items()]
