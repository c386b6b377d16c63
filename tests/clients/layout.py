"""The lab's fixed names and the small files that make them work.

Pure: text out, nothing written. Ports are fixed because the lab has a network namespace of its own, and
clients find 5222 without being told.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.harness.prosody_config import Ports, lua

HOST = "example.test"
GATEWAY = "whatsapp.example.test"
UPLOAD = "upload.example.test"
PORTS = Ports(c2s=5222, shards=5347, shards_tls=5349, http=5280, https=5281)

# GLib hides every name from its programs while loopback is the only configured family (AI_ADDRCONFIG), so
# the namespace gets one address outside 127/8; any private one will do.
EXTRA_ADDRESS = "10.99.0.1"


@dataclass(frozen=True)
class User:
    """A user of the lab's server; `name` is the localpart, `resource` what the client will bind."""

    name: str
    resource: str = "lab"
    password: str = "planted"

    @property
    def jid(self) -> str:
        """The bare JID."""
        return f"{self.name}@{HOST}"


def contact(number: str) -> str:
    """The JID of a WhatsApp contact, from its number in international form."""
    return f"+{number.removeprefix('+')}@{GATEWAY}"


def hosts_file() -> str:
    """/etc/hosts as seen inside the namespace."""
    return f"127.0.0.1 localhost {HOST} {GATEWAY} {UPLOAD}\n::1 localhost\n"


def roster_file(contacts: dict[str, str]) -> str:
    """Prosody's stored roster: JID to name, each subscribed both ways."""
    items = {jid: {"name": name, "subscription": "both", "groups": []} for jid, name in contacts.items()}
    return f'return {{ [false] = {{ ["version"] = 1 }}; {lua(items)[2:-1]} }};\n'


def roster_path(data: Path, user: User) -> Path:
    """Where Prosody's internal storage keeps it, below its data path (the dot of the host is escaped)."""
    return data / HOST.replace(".", "%2e") / "roster" / f"{user.name}.dat"
