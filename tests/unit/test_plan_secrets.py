"""Derived secrets, against the vectors of the protocol."""

import hashlib

import pytest

from ponton_operator.plan.secrets import front_desk_secret, redis_password, shard_secret


def test_gives_the_shard_vector() -> None:
    """The shard's secret of the protocol's vector comes out, and its handshake with it."""
    secret = shard_secret("m", "wa.test", "alice@example.test", 7)
    assert "b00ad758ac45ffed5ab568b8df3328f4821f5e9a6d00984d6b42b160694c23ca" == secret
    handshake = hashlib.sha1(b"id" + secret.encode()).hexdigest()  # noqa: S324  # XEP-0114 says SHA-1
    assert "6744a6ae75a70c88733498bcade50f560cf9ed07" == handshake


def test_gives_the_front_desk_vector() -> None:
    """The front desk's secret of the protocol's vector comes out."""
    expected = "260e4da8cd3744642ae1c25eb7c430ed31bdc7ce5057e478ba463cb6a18d26b0"
    assert expected == front_desk_secret("m", "wa.test", 3)


@pytest.mark.parametrize(
    "other",
    [
        ("n", "wa.test", "alice@example.test", 7),
        ("m", "wb.test", "alice@example.test", 7),
        ("m", "wa.test", "bob@example.test", 7),
        ("m", "wa.test", "alice@example.test", 8),
    ],
)
def test_binds_every_part(other: tuple[str, str, str, int]) -> None:
    """Another master, domain, owner or epoch gives another secret."""
    assert shard_secret("m", "wa.test", "alice@example.test", 7) != shard_secret(*other)


def test_redis_passwords_are_their_own() -> None:
    """A Redis password is none of the stream secrets, changes with the epoch, and can be made again."""
    first = redis_password("m", "wa", "acc-1", 7)
    assert redis_password("m", "wa", "acc-1", 7) == first
    assert first not in {redis_password("m", "wa", "acc-1", 8), redis_password("m", "wa", "acc-2", 7)}
    assert first != shard_secret("m", "wa", "acc-1", 7)
