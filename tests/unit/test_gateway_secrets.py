"""The Secrets of a gateway on a cluster: what is read, and what is told when it cannot be."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from ponton_operator.cluster.gateway_secrets import GatewaySecrets, SecretMissing, SecretUnusable, read_secrets
from ponton_operator.cluster.kube_api import KubeApi
from ponton_operator.cluster.kube_errors import Unavailable
from ponton_operator.plan.environment import portal_references
from ponton_operator.resources.gateway import BridgeGateway
from tests.harness.kube_fake import KubeFake, Refused, kube_fake
from tests.unit.gateway_world import MASTER, gateway

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"
WITH_CAS: dict[str, Any] = {
    "xmpp": {"host": "192.0.2.10", "tls": {"caRef": {"name": "cas", "key": "xmpp"}}},
    "shard": {"upload": {"host": "up.example.org", "caRef": {"name": "cas", "key": "upload"}}},
}


@dataclass
class Bed:
    """A fake API server and a client of it."""

    fake: KubeFake
    api: KubeApi

    def secret(self, name: str, **texts: str | bytes) -> None:
        """Put a Secret there."""
        data = {
            key: b64encode(text.encode() if isinstance(text, str) else text).decode() for key, text in texts.items()
        }
        self.fake.remove("secrets", "bridges", name)
        self.fake.put("secrets", "bridges", {"metadata": {"name": name}, "data": data})

    async def read(self, resource: BridgeGateway | None = None) -> GatewaySecrets:
        """Read a gateway."""
        return await read_secrets(self.api, resource or gateway())


@pytest.fixture
async def bed() -> AsyncIterator[Bed]:
    """A server with the usual Secrets."""
    with kube_fake() as fake:
        api = KubeApi(fake.client(), writes=0)
        made = Bed(fake, api)
        made.secret("prosody", master=f"{MASTER}\n", token="t" * 16)
        made.secret("redis", url="redis://admin:word@redis:6379/0\n")
        made.secret("cas", xmpp=PEM, upload=PEM.replace("x", "y"))
        yield made
        api.close()


async def test_it_gives_what_the_secrets_hold(bed: Bed) -> None:
    """All that operators need is there, without the line ends that editors add; each Secret is read once."""
    found = await bed.read()
    assert (MASTER, "redis://admin:word@redis:6379/0", ()) == (found.master, found.redis_url, found.problems)
    control = found.prosody()
    assert ("http://192.0.2.10:5280/shards", "wa.example.org", "t" * 16, "") == (
        control.url,
        control.domain,
        control.token,
        control.ca,
    )
    assert ["prosody", "redis"] == [path.rpartition("/")[2] for _, path in bed.fake.asked]


@pytest.mark.parametrize(
    ("texts", "sentence", "missing"),
    [
        ({"token": "t" * 16}, "Secret prosody: it has no key master.", True),
        ({"master": "", "token": "t" * 16}, "Secret prosody: its key master is empty.", True),
        ({"master": b"\xff", "token": "t" * 16}, "Secret prosody: its key master is not text.", False),
        ({"master": "m", "token": "short"}, "Secret prosody: the token token has less than 16 characters.", False),
        (
            {"master": "m" * 65_537, "token": "t" * 16},
            "Secret prosody: its key master is longer than 65536 bytes.",
            False,
        ),
    ],
)
async def test_what_cannot_be_used_is_told(
    bed: Bed,
    texts: dict[str, str | bytes],
    sentence: str,
    missing: bool,  # noqa: FBT001  # a case
) -> None:
    """The sentence names Secret and key, never a value; what is not concerned stays usable."""
    bed.secret("prosody", **texts)
    found = await bed.read()
    assert ((sentence,), missing) == (found.problems, found.missing)
    assert "redis://admin:word@redis:6379/0" == found.redis_url
    with pytest.raises(SecretUnusable, match="Secret prosody"):
        _ = (found.master, found.prosody())


async def test_a_secret_that_is_not_there_is_told_once(bed: Bed) -> None:
    """Two keys of one Secret that is missing are one problem."""
    bed.fake.remove("secrets", "bridges", "prosody")
    found = await bed.read()
    assert ("Secret prosody: there is none in the gateway's namespace.",) == found.problems
    with pytest.raises(SecretMissing):
        _ = found.master


async def test_what_is_no_certificate_is_told(bed: Bed) -> None:
    """An authority has to look like one."""
    bed.secret("cas", xmpp="hello", upload=PEM)
    found = await bed.read(gateway(**WITH_CAS))
    assert ("Secret cas: its key xmpp is no certificate (PEM).",) == found.problems
    with pytest.raises(SecretUnusable):
        found.read(found.resource.spec.xmpp.tls.ca_ref)  # type: ignore[union-attr]  # it is set


async def test_a_secret_that_we_may_not_read_is_told(bed: Bed) -> None:
    """A right that is missing is the host's to give; an API that does not answer is an error, not a problem."""
    bed.fake.refuse["GET", "secrets"] = [Refused(403, "Forbidden")]
    assert ("Secret prosody: the operator may not read it.",) == (await bed.read()).problems
    bed.fake.refuse["GET", "secrets"] = [Refused(503, "ServiceUnavailable")]
    with pytest.raises(Unavailable):
        await bed.read()


async def test_its_looks_show_no_secret(bed: Bed) -> None:
    """What a crash may print of it holds none."""
    found = await bed.read()
    assert not any(text in repr(found) for text in (MASTER, "word@", "t" * 16))


async def test_the_login_servers_secrets_are_asked_for(bed: Bed) -> None:
    """A client secret may be any text, an authority has to be one; what is missing is the host's to add."""
    refs = {"clientSecretRef": {"name": "cas", "key": "login"}, "caRef": {"name": "cas", "key": "upload"}}
    oidc = {"issuer": "https://login.example.org", "clientId": "ponton", "jid": "{xmpp}", **refs}
    resource = gateway(selfservice={"portal": {"url": "https://example.org", "oidc": oidc}})
    assert ("Secret cas: it has no key login.",) == (await bed.read(resource)).problems
    bed.secret("cas", login="short", upload="none")
    assert ("Secret cas: its key upload is no certificate (PEM).",) == (await bed.read(resource)).problems
    bed.secret("cas", login="short", upload=PEM)
    found = await bed.read(resource)
    assert {"oidc-secret": "short", "oidc-ca.pem": PEM} == {
        name: found.read(ref) for name, ref in portal_references(resource).items()
    }
