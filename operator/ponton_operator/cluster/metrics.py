"""What a program of the control plane counts, for Prometheus: reconciles, latency, errors, calls of the API, queues.

Made once by a program. The only module that knows the library, which is imported when a `Metrics` is made. No label
ever holds the name of an account, an owner or a number.
"""

from typing import Final

# Seconds. The promise is: reaction to a change within 5 s for 99 of 100.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """All figures of one program."""

    def __init__(self, program: str, version: str) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info  # noqa: PLC0415  # paid here

        self._registry = registry = CollectorRegistry()
        Info("ponton_build", "Program and version.", registry=registry).info({"program": program, "version": version})

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"ponton_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, *labels: str) -> Histogram:
            return Histogram(f"ponton_{name}", what, labels, registry=registry, buckets=BUCKETS)

        self._calls = counter("kube_calls", "Calls of the Kubernetes API.", "verb", "resource", "result")
        self._call_time = histogram("kube_call_seconds", "How long calls of the Kubernetes API took.", "verb")
        self._plans = counter("reconciles", "Plans that were made and carried out.", "kind", "result")
        self._plan_time = histogram("reconcile_seconds", "How long a plan and its deeds took.", "kind")
        self._reaction = histogram("reaction_seconds", "From a change that was seen to its deed.", "kind")
        self._steps = histogram("start_step_seconds", "How long the steps of a start took.", "step")
        self._pages = counter("pages", "Pages that were answered.", "page", "status")
        self._page_time = histogram("page_seconds", "How long an answer took.", "page")
        self._counts = counter("events", "Things that happened, by their name in the log.", "event")
        self._gauges = Gauge(
            "ponton_state", "What is held now, by what it is and by gateway.", ["what", "gateway"], registry=registry
        )

        self._served = Gauge(
            "ponton_namespace_served", "Whether an operator may see a namespace that it is to serve.", ["name"],
            registry=registry,
        )  # fmt: skip

    def call(self, verb: str, resource: str, result: str, seconds: float) -> None:
        """Count a call of the Kubernetes API; for `kube_api.Client`."""
        self._calls.labels(verb, resource, result).inc()
        self._call_time.labels(verb).observe(seconds)

    def plan(self, kind: str, result: str, seconds: float) -> None:
        """Count a plan: of an account, a gateway …; `result` is ok or the class of the error."""
        self._plans.labels(kind, result).inc()
        self._plan_time.labels(kind).observe(seconds)

    def reaction(self, kind: str, seconds: float) -> None:
        """Count how long a change waited for its deed."""
        self._reaction.labels(kind).observe(seconds)

    def step(self, step: str, seconds: float) -> None:
        """Count a step of a start."""
        self._steps.labels(step).observe(seconds)

    def page(self, page: str, status: int, seconds: float) -> None:
        """Count an answer of the portal; `page` is a route, never what somebody typed."""
        self._pages.labels(page, str(status)).inc()
        self._page_time.labels(page).observe(seconds)

    def state(self, what: str, gateway: str, value: float) -> None:
        """Tell how many there are of something now: accounts by phase, keys that wait, age of a watch."""
        self._gauges.labels(what, gateway).set(value)

    def served(self, namespace: str, *, yes: bool) -> None:
        """Tell whether a namespace is served."""
        self._served.labels(namespace).set(yes)

    def event(self, event: str) -> None:
        """Count something that happened."""
        self._counts.labels(event).inc()

    def text(self) -> bytes:
        """Give everything as Prometheus reads it."""
        from prometheus_client import generate_latest  # noqa: PLC0415  # loaded already

        return generate_latest(self._registry)
