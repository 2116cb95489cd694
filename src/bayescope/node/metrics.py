"""Prometheus metrics of a node, in a registry of their own."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from bayescope.node.config import MetricsConfig
from bayescope.node.network import listening

_SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)


class Metrics:
    """Counters of a node, and the state of its queue at the time of asking.

    ``states`` counts, by table and state, what is in the queue; ``drift`` tells what is known of it, by model.
    """

    def __init__(
        self, states: Callable[[], dict[str, dict[str, int]]], drift: Callable[[], dict[str, dict[str, Any]]] = dict
    ) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_States(states))
        self.registry.register(_Drift(drift))
        self.associations = self._counter("associations", "Associations requested, by outcome", "outcome")
        self.stored = self._counter("stored_objects", "C-STORE requests, by status in hexadecimal", "status")
        self.stored_bytes = self._counter("stored_bytes", "Bytes of the objects accepted")
        self.fetched = self._counter("fetched_objects", "Objects fetched by DICOMweb, by outcome", "outcome")
        self.read = self._counter("read_images", "Images read, by outcome", "outcome")
        self.combined = self._counter("combined_studies", "Studies whose images were combined, by outcome", "outcome")
        self.sent = self._counter("sent_results", "Results sent, by destination and outcome", "destination", "outcome")
        self.reading_seconds = Histogram(
            "bayescope_node_reading_seconds", "Seconds to read an image", registry=self.registry, buckets=_SECONDS
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"bayescope_node_{name}", text, labels, registry=self.registry)

    def serve(self, config: MetricsConfig) -> Callable[[], None]:
        """Answer ``GET /metrics`` from now on; the value ends this when called.  Raises RunError if the port is taken."""
        with listening(config.address, config.port):
            server, thread = start_http_server(config.port, config.address, self.registry)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop


class _States(Collector):
    def __init__(self, states: Callable[[], dict[str, dict[str, int]]]) -> None:
        self._states = states

    def collect(self) -> list[GaugeMetricFamily]:
        gauge = GaugeMetricFamily("bayescope_node_queue", "Entries of the queue, by table and state", labels=("table", "state"))
        for table, states in self._states().items():
            for state, count in states.items():
                gauge.add_metric((table, state), count)
        return [gauge]


class _Drift(Collector):
    def __init__(self, drift: Callable[[], dict[str, dict[str, Any]]]) -> None:
        self._drift = drift

    def collect(self) -> list[GaugeMetricFamily]:
        alarm = GaugeMetricFamily(
            "bayescope_node_drift_alarm", "1 if the last images differ from the validation images", labels=("model", "of")
        )
        for model, summary in self._drift().items():
            for of in ("novelty", "ratio"):
                alarm.add_metric((model, of), summary[f"{of}_alarm"])
        return [alarm]
