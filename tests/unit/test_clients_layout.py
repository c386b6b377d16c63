"""The lab's names and files, and what it takes to enter it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients import __main__ as command_line
from tests.clients import layout, namespace

ALICE = layout.User("alice")


def test_every_host_resolves_to_loopback() -> None:
    """Puts each name that a client looks up on one loopback line."""
    lines = [line.split() for line in layout.hosts_file().splitlines()]
    (names,) = [names for address, *names in lines if address == "127.0.0.1"]
    assert {"localhost", layout.HOST, layout.GATEWAY, layout.UPLOAD} == set(names)


def test_clients_find_the_server_without_being_told() -> None:
    """Uses the port that a client tries when there is no SRV record."""
    assert 5222 == layout.PORTS.c2s
    ports = [layout.PORTS.c2s, layout.PORTS.shards, layout.PORTS.shards_tls, layout.PORTS.http, layout.PORTS.https]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize("number", ["447700900123", "+447700900123"])
def test_a_contact_is_a_number_with_a_plus(number: str) -> None:
    """Accepts the number with and without plus."""
    assert f"+447700900123@{layout.GATEWAY}" == layout.contact(number)


def test_the_extra_address_is_outside_loopback() -> None:
    """Gives the namespace an address that GLib counts as a configured network."""
    assert not layout.EXTRA_ADDRESS.startswith("127.")


@pytest.mark.parametrize("name", ["WhatsApp", 'A "quoted" \\ name', "naïve 🌊"])
def test_the_roster_is_what_prosody_reads(name: str, tmp_path: Path) -> None:
    """Writes a Lua file that gives each contact back with its name and a subscription both ways."""
    file = tmp_path / "roster.dat"
    file.write_text(layout.roster_file({"a@b.test": name, layout.GATEWAY: "WhatsApp"}))
    script = (
        'local r = dofile(arg[1]); io.write(r["a@b.test"].name, "|", r["a@b.test"].subscription, "|", r[false].version)'
    )
    (tmp_path / "read.lua").write_text(script)
    out = subprocess.run(["lua5.4", tmp_path / "read.lua", file], check=True, capture_output=True)
    assert f"{name}|both|1" == out.stdout.decode()


def test_the_roster_lies_where_prosody_looks() -> None:
    """Escapes the host's dot as Prosody's storage does."""
    assert Path("/d/example%2etest/roster/alice.dat") == layout.roster_path(Path("/d"), ALICE)


def test_nothing_outlives_the_lab() -> None:
    """Asks for a network, mounts and processes of its own, all ended when the first process ends."""
    line = namespace.command(["python", "-m", "tests.clients"])
    assert ["python", "-m", "tests.clients"] == line[-3:]
    assert {"--net", "--mount", "--pid", "--kill-child"} <= set(line[:-3])


def test_a_lab_is_entered_by_its_first_process_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Does not take an inherited environment for being inside."""
    monkeypatch.setenv("CLIENTS_LAB", "inside")
    assert not namespace.inside()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert namespace.inside()


def test_entering_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Says so instead of failing somewhere in the middle."""
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(PermissionError, match="root"):
        namespace.enter()


def test_what_is_not_installed_is_named_by_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names the Debian packages of the programs that are not there."""
    absent = {"gajim", "gdbus"}
    monkeypatch.setattr(shutil, "which", lambda name: None if name in absent else f"/usr/bin/{name}")
    assert ["gajim", "libglib2.0-bin"] == command_line.missing()
