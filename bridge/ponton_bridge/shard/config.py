"""A shard's configuration: environment and secret files, nothing else (docs/shard.md lists them).

Read once by the program before anything is opened. Everything malformed or unknown is one `ConfigError` with one
sentence per fault; the program prints it and exits 78 (EX_CONFIG of sysexits.h).
"""

import math
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ponton_bridge.coordination.contract import Choices
from ponton_bridge.model.errors import HostError, OwnerError
from ponton_bridge.model.jid import prepare_bare

EX_OK: Final = 0
EX_SOFTWARE: Final = 70  # a crash: whoever runs the shard starts it again
EX_TEMPFAIL: Final = 75
EX_CONFIG: Final = 78

PREFIX: Final = "PONTON_"
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # a Kubernetes object's name (RFC 1123 subdomain)
_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_INSTANCE = re.compile(r"[A-Za-z0-9._:-]{1,64}")  # component-shards/1: at most 64 characters
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")
_CHOICE = '"[a-z_]{1,40}":"[0-9]{1,16}"'
_CHOICES = re.compile(rf"\{{({_CHOICE}(,{_CHOICE}){{0,19}})?\}}")  # Choices.to_json
_SECRET_SIZE = 4096  # bytes
MAX_EPOCH: Final = 10**15 - 1  # component-shards/1: at most 15 digits
LEVELS: Final = ("debug", "info", "warning", "error")


class ConfigError(HostError):
    """The host has to change the environment or a file; the text has one line per fault."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast the owner may write; 0 switches a limit off. The defaults suit people, not campaigns."""

    per_minute: float = 60.0
    burst: int = 30
    contacts_per_hour: float = 5.0
    contacts_per_day: float = 20.0


_USUAL: Final = Limits()


@dataclass(frozen=True, slots=True)
class Config:
    """All that a shard is told. `owner`, `secret` and `redis_url` come from files and are not shown."""

    gateway: str
    account: str
    domain: str
    epoch: int
    instance: str
    store: Path
    xmpp_host: str
    xmpp_port: int
    owner: str = field(repr=False)
    secret: str = field(repr=False)
    redis_url: str = field(repr=False)
    previous_epoch: int = 0  # the highest that is known to have used the store; an older store is refused
    xmpp_ca: Path | None = None
    upload_host: str | None = None
    upload_ca: Path | None = None
    codes: int = 6
    limits: Limits = field(default_factory=Limits)
    choices: Choices = field(default_factory=Choices)
    whatsapp: str = ""  # the driver: core or neonize; '' is the core where it is installed
    log_level: str = "info"


class _Reader:
    """Takes variables out of the environment, one by one, and gathers the faults."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.faults: list[str] = []
        self._left = {name: value for name, value in environment.items() if name.startswith(PREFIX)}

    def text(self, name: str, pattern: re.Pattern[str], what: str, default: str | None = None) -> str:
        value = self._left.pop(PREFIX + name, "") or default
        if value is None:
            self.faults.append(f"{PREFIX}{name} is not set: it has to be {what}.")
        elif value and not pattern.fullmatch(value):
            self.faults.append(f"{PREFIX}{name} is not {what}.")
        return value or ""

    def number(self, name: str, kind: Callable[[str], float], low: float, high: float, default: float | None) -> float:
        value = self._left.pop(PREFIX + name, "")
        if not value and default is not None:
            return default
        try:
            number = kind(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            self.faults.append(f"{PREFIX}{name} is not a number from {low} to {high}.")
            return low
        return number

    def file(self, name: str, what: str) -> Path | None:
        value = self._left.pop(PREFIX + name, "")
        if value and not Path(value).is_file():
            self.faults.append(f"{PREFIX}{name} is not {what}.")
        return Path(value) if value else None

    def folder(self, name: str) -> Path:
        value = self._left.pop(PREFIX + name, "")
        if not value or not Path(value).is_dir():
            self.faults.append(f"{PREFIX}{name} is not a folder that exists.")
        return Path(value)

    def secret(self, folder: Path, name: str) -> str:
        path = folder / name
        if not folder.name:
            return ""  # said already
        try:
            mode = path.stat().st_mode
            value = path.read_bytes()[: _SECRET_SIZE + 1].decode().strip()
        except (OSError, UnicodeDecodeError):
            self.faults.append(f"The secret file {name!r} in {PREFIX}SECRETS cannot be read.")
            return ""
        if mode & stat.S_IRWXO:
            self.faults.append(f"The secret file {name!r} may be read by everybody: its mode has to be 0600 or 0640.")
        if not value or len(value) > _SECRET_SIZE:
            self.faults.append(f"The secret file {name!r} is empty or too long.")
        return value

    def finish(self) -> None:
        self.faults += [f"{name} is not a setting of a shard." for name in sorted(self._left)]
        if self.faults:
            raise ConfigError("\n".join(self.faults))


def read_config(environment: Mapping[str, str]) -> Config:
    """Read the configuration; ConfigError lists everything that is wrong with it at once."""
    read = _Reader(environment)
    secrets = read.folder("SECRETS")
    owner = read.secret(secrets, "owner")
    try:
        if owner and prepare_bare(owner) != owner:
            read.faults.append("The secret file 'owner' does not hold a prepared bare JID.")
    except OwnerError:
        read.faults.append("The secret file 'owner' does not hold a bare JID.")
    choices = read.text("CHOICES", _CHOICES, "what an owner chose, as JSON", "{}")
    config = Config(
        gateway=read.text("GATEWAY", _NAME, "the name of a gateway"),
        account=read.text("ACCOUNT", _NAME, "the name of an account"),
        domain=read.text("DOMAIN", _DOMAIN, "a domain name in lower case"),
        epoch=int(read.number("EPOCH", int, 1, MAX_EPOCH, None)),
        instance=read.text("INSTANCE", _INSTANCE, "an id of at most 64 letters, digits and . _ : -"),
        store=read.folder("STORE"),
        xmpp_host=read.text("XMPP_HOST", _HOST, "a host name or an address"),
        xmpp_port=int(read.number("XMPP_PORT", int, 1, 65535, None)),
        owner=owner,
        secret=read.secret(secrets, "component-secret"),
        redis_url=read.secret(secrets, "redis-url"),
        previous_epoch=int(read.number("PREVIOUS_EPOCH", int, 0, MAX_EPOCH, 0)),
        xmpp_ca=read.file("XMPP_CA", "a file with CA certificates"),
        upload_host=read.text("UPLOAD_HOST", _DOMAIN, "a domain name in lower case", "") or None,
        upload_ca=read.file("UPLOAD_CA", "a file with CA certificates"),
        codes=int(read.number("CODES", int, 1, 6, 6)),
        limits=Limits(
            read.number("SEND_PER_MINUTE", float, 0, 100_000, _USUAL.per_minute),
            int(read.number("SEND_BURST", int, 0, 100_000, _USUAL.burst)),
            read.number("NEW_CONTACTS_PER_HOUR", float, 0, 100_000, _USUAL.contacts_per_hour),
            read.number("NEW_CONTACTS_PER_DAY", float, 0, 100_000, _USUAL.contacts_per_day),
        ),
        choices=Choices.from_json(choices) if _CHOICES.fullmatch(choices) else Choices(),
        whatsapp=read.text("WHATSAPP", re.compile("core|neonize"), "one of core, neonize", ""),
        log_level=read.text("LOG_LEVEL", re.compile("|".join(LEVELS)), f"one of {', '.join(LEVELS)}", "info"),
    )
    read.finish()
    return config
