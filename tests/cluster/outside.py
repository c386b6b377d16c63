"""A host with servers of its own beside a cluster: does what docs/kubernetes.md tells, and plays the demo's story.

Run inside a box by `test_own_servers` as `python -m tests.cluster.outside NAMESPACE FOLDER PRIORITY`, with the
operators installed: from the Secrets of a gateway to the end of an account, with every secret changed in the middle.
Ends with 0 when all of it went well.
"""

import asyncio
import os
import secrets
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.request import urlopen

from tests.cluster.box import images
from tests.cluster.box.layout import PUBLIC_ADDRESS
from tests.cluster.own_prosody import DOMAIN, GATEWAY, UPLOAD, OwnProsody, Shared
from tests.cluster.place import READY, Place
from tests.cluster.reach import Cluster, Object, until
from tests.cluster.scene import processes
from tests.demo import picture
from tests.demo.say import Say
from tests.demo.story import Story
from tests.harness.xmpp import Client, logged_in
from tests.sandbox.client import AccountHandle, SandboxClient

NAME = "whatsapp"  # of the gateway
REDIS, PROXY, CONTROL = 6379, 8080, 8095
_REDIS = Template("""
bind $address 127.0.0.1
port 6379
dir $root
save ""
user default off
user ponton on >$password ~* &* +@all
""")


@dataclass
class Host(Place):
    """The host, its servers, and the namespace of its gateway."""

    prosody: OwnProsody
    password: str  # of Redis
    word: str  # the owner's

    # ---- as the guide says -------------------------------------------------------------------------------------

    def prepare(self, priority: str) -> None:
        """Make the Secrets and the gateway; take Prosody's half from the operator."""
        shared = self.prosody.secrets
        self.put_secret("prosody", master=shared.master, token=shared.admin_token, **{"ca.crt": self.authority()})
        self.put_secret("redis", url=self.url(self.password))
        self.cluster.apply(self.resource(priority))
        made = f"secret/{NAME}-prosody", f"configmap/{NAME}-prosody-module"
        until(
            "Prosody's half", lambda: len(self.kubectl("get", *made, "--ignore-not-found", "-o", "name").split()) == 2,
            READY,
        )  # fmt: skip
        self.prosody.included.write_text(self.secret(f"{NAME}-prosody")["gateway.cfg.lua"])
        folder = self.prosody.layout.root / "modules" / "mod_component_shards"
        folder.mkdir(parents=True)
        for name, text in self.get(made[1])["data"].items():
            (folder / name).write_text(text)

    def resource(self, priority: str) -> Object:
        """The gateway of the guide, with shards that trust the sandbox."""
        address = {"cidr": f"{PUBLIC_ADDRESS}/32"}
        authority = {"name": "prosody", "key": "ca.crt"}
        return {
            "apiVersion": "ponton.im/v1alpha1",
            "kind": "BridgeGateway",
            "metadata": {"name": NAME, "namespace": self.namespace},
            "spec": {
                "domain": GATEWAY,
                "xmpp": {"host": PUBLIC_ADDRESS, "port": 5349, "tls": {"caRef": authority}},
                "prosody": {
                    "url": f"https://{PUBLIC_ADDRESS}:5281/shards",
                    "tokenRef": {"name": "prosody", "key": "token"},
                    "caRef": authority,
                },
                "redis": {"urlRef": {"name": "redis", "key": "url"}},
                "secrets": {"masterRef": {"name": "prosody", "key": "master"}},
                "shard": {
                    "image": images.reference("sandbox"),
                    "imagePullPolicy": "Never",
                    "priorityClassName": priority,
                    "upload": {"host": UPLOAD, "caRef": authority},
                    "egress": {"proxy": f"http://{PUBLIC_ADDRESS}:{PROXY}"},
                },
                "accounts": {"allowedOwners": [DOMAIN], "max": 1000},
                "network": dict.fromkeys(("xmpp", "prosodyHttp", "redis", "upload", "proxy"), address),
            },
        }

    async def new_secrets(self) -> None:
        """Change the master secret, the token and Redis's password, in the order that the guide has for each."""
        old, fresh = self.prosody.secrets, Shared(secrets.token_hex(32), "", secrets.token_hex(32))
        text = self.prosody.included.read_text()
        text = text.replace(old.admin_token, fresh.admin_token)
        master = next(line for line in text.splitlines() if "component_shards_master_secret" in line)
        previous = master.replace("component_shards_master_secret", "component_shards_previous_master_secret")
        text = text.replace(master, f"{master.replace(old.master, fresh.master)}\n{previous}")
        self.prosody.included.write_text(text)
        await self.prosody.reload()
        self.prosody.secrets = fresh
        password = secrets.token_hex(16)
        await self.redis("ACL", "SETUSER", "ponton", f">{password}")
        await asyncio.to_thread(self.put_secret, "redis", url=self.url(password))
        known = {"master": fresh.master, "token": fresh.admin_token, "ca.crt": self.authority()}
        await asyncio.to_thread(self.put_secret, "prosody", **known)
        await self.redis("ACL", "SETUSER", "ponton", f"<{self.password}", password=password)
        self.password = password

    def url(self, password: str) -> str:
        """How the control plane finds Redis."""
        return f"redis://ponton:{password}@{PUBLIC_ADDRESS}:{REDIS}/0"

    def authority(self) -> str:
        """Who signed Prosody's certificate."""
        return self.prosody.ca_file.read_text()

    def put_secret(self, name: str, **texts: str) -> None:
        """Make or change a Secret."""
        meta = {"name": name, "namespace": self.namespace}
        self.cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": texts})

    # ---- where the story is played -----------------------------------------------------------------------------

    @property
    def domain(self) -> str:
        """Of the XMPP server."""
        return DOMAIN

    @property
    def gateway(self) -> str:
        """Of the gateway."""
        return GATEWAY

    @property
    def page(self) -> str:
        """There is none."""
        return ""

    def client(self, resource: str) -> AbstractAsyncContextManager[Client]:
        """Log the owner in."""
        return logged_in(self.prosody, "alice", self.word, resource=resource, carbons=True)

    def fetch(self, url: str) -> bytes:
        """Fetch a picture; only from the upload service."""
        if not url.startswith(f"https://{PUBLIC_ADDRESS}:5281/"):
            raise ValueError("this is not an address of our upload service")
        trust = ssl.create_default_context(cafile=str(self.prosody.ca_file))
        with urlopen(url, timeout=10, context=trust) as answer:  # noqa: S310  # https, see above
            content: bytes = answer.read(picture.MAX_BYTES)
            return content

    async def kill(self) -> None:
        """Kill the shard (kill -9)."""
        (pod,) = await asyncio.to_thread(self.pods)
        (pid,) = processes(pod["metadata"]["uid"], "shard")
        os.kill(pid, 9)

    async def left(self) -> list[str]:
        """Name what there is of accounts: resources, pods, volumes, secrets, Redis keys and users, streams."""
        keys, users = await self.redis("--scan", "--pattern", f"ponton:{NAME}:a:*"), await self.redis("ACL", "USERS")
        streams = (await self.prosody.view())["connected"]
        return await asyncio.to_thread(self.accounts_left, NAME, keys, users, streams)

    async def redis(self, *command: str, password: str | None = None) -> list[str]:
        """Ask Redis as the control plane; gives the lines of its answer. The password is on no command line."""
        asked = await asyncio.create_subprocess_exec(
            "redis-cli", "--user", "ponton", *command, stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"REDISCLI_AUTH": password or self.password},
        )  # fmt: skip
        answer, _ = await asked.communicate()
        return answer.decode().split("\n")[:-1]


@dataclass
class OwnStory(Story):
    """The story, with new secrets before the crash."""

    scene: Host

    async def crash(self, alice: Client, bob: AccountHandle, contact: str, phone: AccountHandle) -> None:
        """Change every secret first."""
        await self.scene.new_secrets()
        self.say("The host has changed the master secret, the token and Redis's password")
        await super().crash(alice, bob, contact, phone)


@asynccontextmanager
async def running(*line: str, environment: Mapping[str, str] | None = None) -> AsyncIterator[None]:
    """Run a server until the block ends."""
    child = await asyncio.create_subprocess_exec(*line, env=os.environ | (environment or {}))
    try:
        yield
    finally:
        child.terminate()
        await asyncio.wait_for(child.wait(), 20)


async def main(namespace: str, root: Path, priority: str) -> None:
    """Do it all."""
    prosody = OwnProsody(root)
    word = secrets.token_hex(8)
    prosody.add_user("alice", word)
    host = Host(Cluster(Path(os.environ["KUBECONFIG"]), None), namespace, prosody, secrets.token_hex(16), word)
    settings = root / "redis.conf"
    settings.touch(mode=0o600)
    settings.write_text(_REDIS.substitute(address=PUBLIC_ADDRESS, root=root, password=host.password))
    say = Say()
    box = (f"--folder={root}/sandbox", f"--host={PUBLIC_ADDRESS}", f"--port={PROXY}", f"--control-port={CONTROL}")
    async with (
        running("redis-server", str(settings)),
        running(sys.executable, "-m", "tests.sandbox", "serve", *box),
    ):
        await asyncio.to_thread(host.prepare, priority)
        say("The operator has written Prosody's half")
        await prosody.start()
        try:
            await asyncio.to_thread(host.until_ready, f"bg/{NAME}")
            say("The gateway is Ready")
            async with SandboxClient(f"http://127.0.0.1:{CONTROL}") as sandbox:
                await OwnStory(host, sandbox, say).play()
        finally:
            await prosody.stop()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
