"""The wire of mod_component_shards against a real Prosody: headers, proofs, stream errors, fencing, limits, TLS."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.prosody import Prosody, ProsodyError, derive_secret, running_prosody
from tests.harness.prosody_config import LuaValue, Options
from tests.harness.shard_stream import ShardStream, StreamClosedError

ALICE = "alice@example.test"
CONTACT = "+4915100000001@whatsapp.example.test"


@pytest.fixture
async def prosody(tmp_path: Path) -> AsyncIterator[Prosody]:
    """A Prosody with one user."""
    async with running_prosody(tmp_path, users={"alice": "pw"}) as server:
        yield server


async def refused(server: Prosody, **how: Any) -> tuple[str, str]:  # noqa: ANN401 - what `open` takes
    """Condition and text of the stream error that a connection gets."""
    with pytest.raises(StreamClosedError) as caught:
        await ShardStream.open(server, **how)
    return caught.value.condition, caught.value.text


async def test_opens_a_shard_stream_with_a_session_that_starts_at_one(prosody: Prosody) -> None:
    """A first stream numbers from 1, with nothing handled and no sequence number yet."""
    stream = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    assert stream.session is not None
    assert ("1", "0", "0") == tuple(stream.session.get(k) for k in ("next", "h", "seq"))
    assert len(stream.session.get("gen", "")) == 36
    await stream.close()


async def test_prepares_the_owner_before_it_derives_the_secret(prosody: Prosody) -> None:
    """An owner written with capitals is the same owner, whose secret is derived from the prepared form."""
    secret = prosody.shard_secret(ALICE, 1)
    stream = await ShardStream.open(prosody, owner="Alice@EXAMPLE.test", epoch=1, secret=secret)
    status, state = await prosody.control("status", ALICE)
    assert (200, True) == (status, state["connected"])
    await stream.close()


BAD_HEADERS: list[tuple[str, dict[str, Any]]] = [
    ("improper-addressing", {"header": {"to": ""}}),
    ("host-unknown", {"domain": "nobody.example.test"}),
    ("host-unknown", {"domain": "example.test"}),
    ("bad-format", {"owner": ALICE, "header": {"sh:role": "king"}}),
    ("bad-format", {"owner": ALICE}),
    ("bad-format", {"owner": ALICE, "epoch": 0}),
    ("bad-format", {"owner": ALICE, "header": {"sh:epoch": "1e3"}}),
    ("bad-format", {"owner": ALICE, "epoch": 10**15}),
    ("bad-format", {"owner": ALICE, "epoch": 1, "instance": "x" * 65}),
    ("bad-format", {"owner": ALICE, "epoch": 1, "cursor": "nonsense"}),
    ("improper-addressing", {"owner": f"{ALICE}/phone", "epoch": 1}),
    ("improper-addressing", {"owner": "example.test", "epoch": 1}),
    ("policy-violation", {"owner": ALICE, "epoch": 1, "acks": False}),
]


async def test_refuses_bad_stream_headers_by_the_table(prosody: Prosody) -> None:
    """Each wrong header gets the condition that the specification names, and a text."""
    for condition, header in BAD_HEADERS:
        got, text = await refused(prosody, **header)
        assert (header, condition) == (header, got)
        assert text


async def test_refuses_a_secret_of_another_owner_epoch_or_master(prosody: Prosody) -> None:
    """A stolen secret speaks for one owner and one epoch only."""
    wrong = {
        "other owner": prosody.shard_secret("bob@example.test", 7),
        "other epoch": prosody.shard_secret(ALICE, 8),
        "front desk": prosody.gateway_secret(7),
        "plain secret": prosody.secrets.gateway,
        "master itself": prosody.secrets.master,
    }
    for what, secret in wrong.items():
        outcome = await refused(prosody, owner=ALICE, epoch=7, secret=secret)
        expected = ("not-authorized", "Given token does not match calculated token")
        assert (what, expected) == (what, outcome)
    assert 5 == (await prosody.metrics())["prosody_mod_component_shards__auth_failed_total"]


async def test_wants_the_handshake_first(prosody: Prosody) -> None:
    """A stanza before the handshake ends the stream and goes nowhere."""
    stream = ShardStream()
    await stream.connect(prosody)
    stream.send(
        "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'"
        f" to='{prosody.component}'><message to='{ALICE}' from='{CONTACT}'><body>x</body></message>"
    )
    assert "not-authorized" == (await stream.ended()).condition
    await stream.abort()


async def test_gives_up_on_a_silent_connection(tmp_path: Path) -> None:
    """Without a handshake in time the stream ends with connection-timeout, with or without a header."""
    options = Options(everywhere={"component_shards_handshake_timeout": 1})
    async with running_prosody(tmp_path, options=options) as server:
        silent = ShardStream()
        await silent.connect(server)
        assert "connection-timeout" == (await silent.ended()).condition
        await silent.abort()


async def test_takes_the_previous_master_secret_while_rotating(tmp_path: Path) -> None:
    """After the master secret changed, secrets of the previous one still open streams."""
    options = Options(component={"component_shards_previous_master_secret": "old master"})
    async with running_prosody(tmp_path, options=options) as server:
        old = derive_secret("old master", server.component, "shard", ALICE, 1)
        await (await ShardStream.open(server, owner=ALICE, epoch=1, secret=old)).close()
        await (await ShardStream.open(server, owner=ALICE, epoch=1)).close()


async def test_fences_lower_epochs_and_second_instances(prosody: Prosody) -> None:
    """A higher epoch replaces, a lower one is refused, the same one belongs to one instance at a time."""
    first = await ShardStream.open(prosody, owner=ALICE, epoch=5, instance="a")
    assert ("conflict", "another instance holds this epoch") == await refused(
        prosody, owner=ALICE, epoch=5, instance="b"
    )
    same = await ShardStream.open(prosody, owner=ALICE, epoch=5, instance="a")
    assert ("conflict", "Replaced by a new connection") == (
        (await first.ended()).condition,
        first.closed.text if first.closed else "",
    )
    higher = await ShardStream.open(prosody, owner=ALICE, epoch=6, instance="b")
    assert "conflict" == (await same.ended()).condition
    fenced = ("conflict", "fenced: a newer epoch has connected")
    assert fenced == await refused(prosody, owner=ALICE, epoch=5, instance="a")
    for stream in (first, same, higher):
        await stream.abort()
    assert fenced == await refused(prosody, owner=ALICE, epoch=5, instance="a")
    await prosody.kill()
    await prosody.start()
    assert fenced == await refused(prosody, owner=ALICE, epoch=5, instance="a")
    await (await ShardStream.open(prosody, owner=ALICE, epoch=6, instance="c")).close()


async def test_fences_the_front_desk_by_its_epoch(prosody: Prosody) -> None:
    """A newer front desk replaces the older one; the older, and the plain secret, are refused from then on."""
    old = await ShardStream.open(prosody, epoch=3)
    new = await ShardStream.open(prosody, epoch=4)
    assert "conflict" == (await old.ended()).condition
    await new.close()
    await old.abort()
    await prosody.kill()
    await prosody.start()
    assert "conflict" == (await refused(prosody, epoch=3))[0]
    assert "conflict" == (await refused(prosody, acks=False))[0]


async def test_takes_a_stock_component_as_front_desk(prosody: Prosody) -> None:
    """A plain XEP-0114 stream opens; the epoch that it claims counts for nothing."""
    plain = await ShardStream.open(
        prosody, acks=False, secret=prosody.secrets.gateway, header={"sh:epoch": "999999999999999"}
    )
    view = await prosody.view()
    assert (True, 0) == (view["gateway"]["connected"], view["gateway"]["epoch"])
    await plain.close()
    await (await ShardStream.open(prosody, epoch=1)).close()


async def test_closes_a_stream_that_acknowledges_what_it_never_got(prosody: Prosody) -> None:
    """An ack beyond what was sent, or without a number, is undefined-condition (bad ack)."""
    for ack in ("<a xmlns='urn:xmpp:sm:3' h='99'/>", "<a xmlns='urn:xmpp:sm:3'/>"):
        stream = await ShardStream.open(prosody, owner=ALICE, epoch=1, instance="i")
        stream.send(ack)
        end = await stream.ended()
        assert ("undefined-condition", "bad ack") == (end.condition, end.text)
        await stream.abort()


async def test_closes_a_stream_that_enables_stream_management(prosody: Prosody) -> None:
    """Only a and r of XEP-0198 are spoken here."""
    stream = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    stream.send("<enable xmlns='urn:xmpp:sm:3'/>")
    assert "unsupported-stanza-type" == (await stream.ended()).condition
    await stream.abort()


async def test_closes_a_stream_over_the_limits(prosody: Prosody) -> None:
    """A stanza of more than 256 KiB or 2,000 elements is policy-violation; broken XML is not-well-formed."""
    broken = {
        "policy-violation": [
            f"<message to='{ALICE}' from='{CONTACT}'><body>{'x' * 300_000}</body></message>",
            f"<message to='{ALICE}' from='{CONTACT}'>{'<x/>' * 3000}</message>",
        ],
        "not-well-formed": ["<message><body></message>", "<!-- no comments --><message/>"],
    }
    for condition, texts in broken.items():
        for number, text in enumerate(texts):
            stream = await ShardStream.open(prosody, owner=ALICE, epoch=1)
            stream.send(text)
            assert (condition, number) == ((await stream.ended()).condition, number)
            await stream.abort()


async def test_refuses_large_stanzas_before_the_handshake(prosody: Prosody) -> None:
    """Somebody who has proved nothing may not send more than 10,000 bytes."""
    stream = ShardStream()
    await stream.connect(prosody)
    stream.send(
        "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'"
        f" to='{prosody.component}'><handshake>{'0' * 20000}"
    )
    assert "policy-violation" == (await stream.ended()).condition
    await stream.abort()


async def test_slows_a_shard_down_to_its_rate_and_loses_nothing(tmp_path: Path) -> None:
    """60 stanzas at 40/s after a burst of 20 are all taken, and the stream was held up on the way."""
    limits = {"component_shards_rate": 40, "component_shards_burst": 20}
    async with running_prosody(tmp_path, users={"alice": "pw"}, component_options=limits) as server:
        stream = await ShardStream.open(server, owner=ALICE, epoch=1)
        for number in range(60):
            stream.say(CONTACT, ALICE, str(number), seq=number + 1)
        assert 60 == await stream.settled()
        view = await server.view()
        assert view["totals"]["throttled"] >= 1
        assert 60 == view["totals"]["routed_out"]
        await stream.close()


async def test_says_why_it_closes_at_a_clean_stop_and_at_a_reload(prosody: Prosody) -> None:
    """Shards hear reset when the module is reloaded and system-shutdown when the server stops."""
    stream = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    await prosody.shell(f"module:reload('component_shards', '{prosody.component}')")
    assert "reset" == (await stream.ended()).condition
    await stream.abort()
    stream = await ShardStream.open(prosody, owner=ALICE, epoch=1)
    # Not by SIGTERM: Prosody 0.12 runs its handler in the middle of whatever it does, and may lose a write.
    await prosody.shell("server:shutdown()")
    assert "system-shutdown" == (await stream.ended()).condition
    await stream.abort()


async def test_speaks_direct_tls(prosody: Prosody) -> None:
    """On the TLS port a shard checks the server's certificate against its CA."""
    context = ssl.create_default_context(cafile=str(prosody.ca_file))
    stream = await ShardStream.open(prosody, owner=ALICE, epoch=1, tls=context, port=prosody.ports.shards_tls)
    assert stream.session is not None
    await stream.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await ShardStream.open(
            prosody, owner=ALICE, epoch=1, tls=ssl.create_default_context(), port=prosody.ports.shards_tls
        )


async def test_wants_a_client_certificate_when_it_is_configured(tmp_path: Path) -> None:
    """With mutual TLS a client without a certificate of our CA does not even get a stream header."""
    async with running_prosody(tmp_path, start=False) as server:
        pod = server.authority.issue("pod", ["pod"])
        tls = {
            "certificate": str(tmp_path / "ca" / "server.crt"),
            "key": str(tmp_path / "ca" / "server.key"),
            "verify": ["peer", "fail_if_no_peer_cert"],
            "cafile": str(server.ca_file),
            "verifyext": [],
        }
        server.write_config(Options(everywhere={"component_shards_tls_ssl": tls}))
        await server.start()
        anonymous = ssl.create_default_context(cafile=str(server.ca_file))
        with pytest.raises((ssl.SSLError, OSError, StreamClosedError)):
            await ShardStream.open(server, owner=ALICE, epoch=1, tls=anonymous, port=server.ports.shards_tls)
        known = ssl.create_default_context(cafile=str(server.ca_file))
        known.load_cert_chain(pod.certificate, pod.key)
        stream = await ShardStream.open(server, owner=ALICE, epoch=1, tls=known, port=server.ports.shards_tls)
        assert stream.session is not None
        await stream.close()


async def test_refuses_to_load_with_settings_that_make_no_sense(tmp_path: Path) -> None:
    """A wrong setting stops the component with a sentence in the log; the rest of the server runs."""
    wrong: dict[str, LuaValue] = {
        "component_shards_window": "many",
        "component_shards_queue_age": 0,
        "component_shards_storage": "cloud",
        "component_shards_fsync": True,
        "component_shards_master_secret": "",
        "component_secret": "",
    }
    for name, value in wrong.items():
        root = tmp_path / name
        async with running_prosody(root, component_options={name: value}, start=False) as server:
            with pytest.raises(ProsodyError, match="not ready"):
                await server.start()
            expected = "lua-posix" if name.endswith("fsync") else name
            assert expected in server.log_text()
