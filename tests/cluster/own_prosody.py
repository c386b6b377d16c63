"""A Prosody as hosts have it, outside of the cluster: the host's own file, and the gateway's half from the operator.

Made by `outside`; listens on the address that stands for the world outside of a box, and on loopback.
"""

import secrets
from pathlib import Path
from string import Template

from tests.cluster.box.layout import PUBLIC_ADDRESS
from tests.harness.prosody import Prosody
from tests.harness.prosody_config import Options, Ports
from tests.harness.prosody_config import Secrets as Shared

__all__ = ["DOMAIN", "GATEWAY", "UPLOAD", "OwnProsody", "Shared"]

DOMAIN, GATEWAY, UPLOAD = "example.test", "whatsapp.example.test", "upload.example.test"
PORTS = Ports(c2s=5222, shards=5349, shards_tls=5349, http=5280, https=5281)
# What docs/kubernetes.md adds to a Prosody that runs: the TLS port of the module, and the file at the end.
_CONFIG = Template("""
pidfile = "$root/prosody.pid"
data_path = "$root/data"
admin_socket = "$root/admin.sock"
log = { info = "$root/prosody.log" }
plugin_paths = { "$root/modules" }
run_as_root = true
use_ipv6 = false
interfaces = { "*" }
c2s_ports = { 5222 }
c2s_require_encryption = true
http_ports = { 5280 }
http_interfaces = { "127.0.0.1" }
https_ports = { 5281 }
https_interfaces = { "*" }
ssl = { certificate = "$certificate"; key = "$key" }
authentication = "internal_plain"
storage = "internal"
default_archive_policy = true
modules_enabled = {
  "roster"; "saslauth"; "tls"; "disco"; "carbons"; "smacks"; "mam"; "pep"; "bookmarks"; "blocklist"; "private";
  "vcard_legacy"; "ping"; "offline"; "csi_simple"; "admin_shell"; "http";
}
modules_disabled = { "s2s"; "s2s_auth_certs" }

component_shards_ports = { }
component_shards_tls_ports = { 5349 }
component_shards_tls_interfaces = { "*" }
component_shards_tls_ssl = { certificate = "$certificate"; key = "$key" }

VirtualHost "$domain"

Component "$upload" "http_file_share"
  http_host = "$address"
  http_external_url = "https://$address:5281/"
  http_file_share_access = { "$domain"; "$gateway" }

Include "$root/gateway.cfg.lua"
""")


class OwnProsody(Prosody):
    """The host's own: its files from the guide, its gateway's half from the operator."""

    def __init__(self, root: Path) -> None:
        super().__init__(root, domain=DOMAIN, component=GATEWAY, upload=UPLOAD, options=Options())

    def write_config(self, options: Options | None = None) -> None:  # noqa: ARG002  # there are none
        """Write the host's own file."""
        self.ports = PORTS
        self.secrets = Shared(secrets.token_hex(32), "", secrets.token_hex(32))
        made = self.authority.issue("host", [DOMAIN, GATEWAY, UPLOAD, PUBLIC_ADDRESS])
        text = _CONFIG.substitute(
            root=self.layout.root, certificate=made.certificate, key=made.key, domain=DOMAIN, gateway=GATEWAY,
            upload=UPLOAD, address=PUBLIC_ADDRESS,
        )  # fmt: skip
        self.layout.config.write_text(text)

    @property
    def included(self) -> Path:
        """The gateway's half."""
        return self.layout.root / "gateway.cfg.lua"

    async def reload(self) -> None:
        """Have it read its configuration again, and the module too."""
        await self.shell("config:reload()")
        await self.shell(f'module:reload("component_shards", "{GATEWAY}")')
