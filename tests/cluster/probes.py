"""What somebody who has taken a shard over would try from inside its pod: probes, and the program that runs them.

A probe "succeeds" when it gets a connection, an answer or a file. Called by `test_isolation.py`.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from tests.cluster.box.layout import API_SERVICE, DNS_SERVICE, METADATA_ADDRESS, NODE_ADDRESS, PUBLIC_ADDRESS
from tests.cluster.reach import Object
from tests.cluster.release import FULL, Release

WHATSAPP = (443, 5222)
"""The ports on which WhatsApp's servers listen."""

# Runs in the pod: reads probes as JSON on its command line, prints the names of those that succeed, as JSON.
PROGRAM = """
import json, pathlib, socket, ssl, sys
from concurrent.futures import ThreadPoolExecutor

def tcp(one):
    socket.create_connection((one["where"], one["port"]), 2).close()
    return True

def https(one):
    import http.client
    trust = ssl._create_unverified_context()
    connection = http.client.HTTPSConnection(one["where"], one["port"], timeout=4, context=trust)
    connection.request("GET", one["line"][0], headers=dict([one["line"][1:]]) if one["line"][1:] else {})
    return connection.getresponse().status == 200

def redis(one):
    import redis
    url = pathlib.Path(one["where"]).read_text()
    client = redis.Redis.from_url(url, socket_timeout=4)
    if one["port"]:  # without logging in
        client = redis.Redis(host=client.connection_pool.connection_kwargs["host"], socket_timeout=4)
    try:
        client.execute_command(*one["line"])
    except redis.RedisError:
        return False
    return True

def file(one):
    return bool(pathlib.Path(one["where"]).read_bytes())

def write(one):
    pathlib.Path(one["where"]).write_text("x")
    return True

def run(one):
    try:
        return globals()[one["kind"]](one)
    except OSError:
        return False

probes = json.loads(sys.argv[1])
with ThreadPoolExecutor(24) as pool:
    print(json.dumps([one["name"] for one, done in zip(probes, pool.map(run, probes)) if done]))
"""


@dataclass(frozen=True)
class Probe:
    """One try; `kind` is a function of PROGRAM, `line` what it says."""

    name: str
    kind: str
    where: str
    port: int = 0
    line: tuple[str, ...] = ()


def as_argument(probes: Iterable[Probe]) -> str:
    """Give the argument of PROGRAM."""
    return json.dumps([asdict(probe) for probe in probes])


def forbidden(release: Release, other: Object) -> list[Probe]:
    """List a hundred probes of which none may succeed; `other` is the pod of another account."""
    found = [*_control_plane(), *_ranges(), *_pods(release, other), *_services(release), *_prosody(release)]
    found += [*_redis(release, other), *_files()]
    assert len(found) == len({probe.name for probe in found})
    return found


def _tcp(what: str, where: str, *ports: int) -> list[Probe]:
    return [Probe(f"{what}:{port}", "tcp", where, port) for port in ports]


def _control_plane() -> list[Probe]:
    node = (22, 2379, 2380, 6443, 10248, 10249, 10250, 10255, 10256, 10257, 10259)
    token = Probe("API with a token", "https", API_SERVICE, 443, ("/version",))
    return [*_tcp("API service", API_SERVICE, 443), token, *_tcp("node", NODE_ADDRESS, *node)]


def _ranges() -> list[Probe]:
    metadata = [*_tcp("metadata", METADATA_ADDRESS, 80, 443, 5222), *_tcp("task metadata", "169.254.170.2", 80)]
    local = [*_tcp("link-local", "169.254.1.1", 443, 5222), *_tcp("node-local DNS", "169.254.20.10", 53)]
    private = [
        probe
        for address in ("10.0.0.1", "10.96.0.2", "10.244.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "127.0.0.2")
        for probe in _tcp(address, address, *WHATSAPP)
    ]
    public = _tcp("public", PUBLIC_ADDRESS, 22, 25, 53, 80, 6379, 8080)
    return [*metadata, *local, *private, *public]


def _pods(release: Release, other: Object) -> list[Probe]:
    """Pods of every part of the installation, on the ports that they listen on."""
    ports = {
        "accounts": (9090,),
        "gateways": (9090,),
        "scaler": (9090,),
        "frontdesk": (9090,),
        "sandbox": (8095,),
        "redis": (16379,),
    }
    found = _tcp("another shard", other["status"]["podIP"], 9090, 443, 5222)
    for part, listens in ports.items():
        selector = f"app.kubernetes.io/component={part}"
        for number, pod in enumerate(release.get("pods", "-l", selector)["items"]):
            found += _tcp(f"{part} {number}", pod["status"]["podIP"], *listens)
    return found


def _services(release: Release) -> list[Probe]:
    sandbox = f"{FULL}-sandbox.{release.namespace}.svc"
    return [*_tcp("sandbox service", sandbox, 8080), *_tcp("DNS's other ports", DNS_SERVICE, 8080, 9153)]


def _prosody(release: Release) -> list[Probe]:
    host = f"{FULL}-xmpp.{release.namespace}.svc"
    (pod,) = release.get("pods", "-l", "app.kubernetes.io/component=xmpp")["items"]
    view = ("/shards", "Authorization")
    guess = Probe("Prosody's view with a guess", "https", host, 5281, (*view, f"Bearer {'t' * 32}"))
    others = _tcp("Prosody", pod["status"]["podIP"], 5222, 5223, 5269, 5280, 5347, 5582)
    return [guess, *_tcp("Prosody service", host, 5222), *others]


def _redis(release: Release, other: Object) -> list[Probe]:
    """Keys of another account, and commands that are nobody's but the control plane's."""
    labels = other["metadata"]["labels"]
    theirs = f"ponton:{labels['ponton.im/gateway']}:a:{labels['ponton.im/account']}:"
    states = f"ponton:{labels['ponton.im/gateway']}:states"
    lines = [
        ("HGETALL", f"{theirs}hb"), ("HGETALL", f"{theirs}state"), ("HGETALL", f"{theirs}lease"),
        ("GET", f"{theirs}code"), ("GET", f"{theirs}fence"), ("SET", f"{theirs}fence", "9"),
        ("DEL", f"{theirs}lease"), ("XADD", f"{theirs}cmd", "*", "kind", "logout"),
        ("XREAD", "COUNT", "1", "STREAMS", f"{theirs}cmd", "0"), ("HSET", f"{theirs}hb", "epoch", "1"),
        ("XREAD", "COUNT", "1", "STREAMS", states, "0"), ("XRANGE", states, "-", "+"), ("DEL", states),
        ("XTRIM", states, "MAXLEN", "0"), ("KEYS", "*"), ("SCAN", "0"), ("RANDOMKEY",), ("DBSIZE",), ("FLUSHALL",),
        ("FLUSHDB",), ("CONFIG", "GET", "*"), ("CONFIG", "SET", "maxmemory", "1"), ("ACL", "LIST"), ("ACL", "USERS"),
        ("ACL", "SETUSER", "x", "on"), ("CLIENT", "LIST"), ("MONITOR",), ("SUBSCRIBE", "x"), ("PUBLISH", "x", "y"),
        ("SAVE",), ("SHUTDOWN", "NOSAVE"), ("REPLICAOF", "NO", "ONE"), ("DEBUG", "SLEEP", "0"), ("MODULE", "LIST"),
        ("SWAPDB", "0", "1"), ("EVAL", "return redis.call('KEYS', '*')", "0"),
    ]  # fmt: skip
    url = "/run/ponton/redis-url"
    found = [Probe(f"Redis: {' '.join(line)[:40]}", "redis", url, 0, line) for line in lines]
    return [*found, Probe("Redis without a password", "redis", url, 1, ("PING",))]


def _files() -> list[Probe]:
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # where one would be
    return [
        Probe("a token of the API", "file", token),
        Probe("shadow", "file", "/etc/shadow"),
        Probe("the program", "write", "/opt/ponton/bin/x"),
        Probe("the secrets", "write", "/run/ponton/redis-url"),
    ]
