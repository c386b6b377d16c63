"""Metrics and health of a program: what the kubelet and Prometheus get to read."""

import asyncio

from ponton_operator.cluster.health import Health
from ponton_operator.cluster.metrics import Metrics


async def ask(port: int, text: bytes) -> bytes:
    """Send a request, give the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(text)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_health_and_metrics_are_three_pages() -> None:
    """Well: 200; a reason why not: 503 with the reason; anything else: 404, 405 or nothing at all."""
    wrong = {"alive": "", "ready": "still listing"}
    health = Health(lambda: b"figures\n", lambda: wrong["alive"], lambda: wrong["ready"])
    server = await health.serve(0, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert (await ask(port, b"GET /healthz HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        ready = await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n")
        assert ready.startswith(b"HTTP/1.1 503 ")
        assert ready.endswith(b"\r\n\r\nstill listing\n")
        assert (await ask(port, b"GET /metrics?x=1 HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\nfigures\n")
        assert (await ask(port, b"GET /other HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")
        assert (await ask(port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
        assert b"" == await ask(port, b"x" * 10_000 + b"\r\n\r\n")


def test_figures_are_counted_under_their_names() -> None:
    """The names that the chart's rules and dashboards use."""
    metrics = Metrics("operator accounts", "1.2")
    metrics.call("patch", "pods", "ok", 0.01)
    metrics.plan("account", "ok", 0.002)
    metrics.reaction("account", 0.3)
    metrics.step("pod", 0.1)
    metrics.state("running", "wa", 3)
    metrics.event("shard_started")
    metrics.served("bridges", yes=True)
    metrics.served("bridges-b", yes=False)
    text = metrics.text().decode()
    for line in (
        'ponton_build_info{program="operator accounts",version="1.2"} 1.0',
        'ponton_kube_calls_total{resource="pods",result="ok",verb="patch"} 1.0',
        'ponton_kube_call_seconds_count{verb="patch"} 1.0',
        'ponton_reconciles_total{kind="account",result="ok"} 1.0',
        'ponton_reconcile_seconds_count{kind="account"} 1.0',
        'ponton_reaction_seconds_bucket{kind="account",le="0.5"} 1.0',
        'ponton_start_step_seconds_count{step="pod"} 1.0',
        'ponton_state{gateway="wa",what="running"} 3.0',
        'ponton_events_total{event="shard_started"} 1.0',
        'ponton_namespace_served{name="bridges"} 1.0',
        'ponton_namespace_served{name="bridges-b"} 0.0',
    ):
        assert line in text
