"""Measurements of the service for Prometheus."""

from collections.abc import Callable
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from bayescope import __version__

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_IMAGES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = Counter(
            "bayescope_requests", "Requests answered", ("path", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "bayescope_request_seconds", "Time to answer", ("path",), buckets=_SECONDS, registry=self.registry
        )
        self._batch = Histogram("bayescope_batch_images", "Images scored together", buckets=_IMAGES, registry=self.registry)
        self._images = Counter("bayescope_images", "Images uploaded, by outcome", ("outcome",), registry=self.registry)
        self._passes = Counter("bayescope_network_passes", "Network passes", registry=self.registry)
        self.waiting = Gauge("bayescope_waiting_jobs", "Images and explanations that wait", registry=self.registry)
        Gauge("bayescope_info", "Version", ("version",), registry=self.registry).labels(__version__).set(1)

    def add_process(self, name: str, pid: Callable[[], int | None]) -> None:
        """Also measure memory and processor time of another process, under names that begin with ``name``."""
        ProcessCollector(namespace=name, pid=lambda: pid() or -1, registry=self.registry)

    def watch_drift(self, summary: Callable[[], dict[str, Any]]) -> None:
        """Tell whether there is drift, by :meth:`bayescope.inference.drift.DriftWatch.summary`."""
        alarm = Gauge(
            "bayescope_drift_alarm", "1 if the last images differ from the validation images", ("of",), registry=self.registry
        )
        for of in ("novelty", "ratio"):
            alarm.labels(of).set_function(partial(_alarm, summary, of))

    def count_request(self, path: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request under the ``path`` of its route."""
        self._requests.labels(path, method, status).inc()
        self._seconds.labels(path).observe(seconds)

    def count_batch(self, images: int, passes: int) -> None:
        """Count images scored together and the network passes spent on them."""
        self._batch.observe(images)
        self._images.labels("scored").inc(images)
        self._passes.inc(passes)

    def count_unreadable(self, files: int) -> None:
        """Count files that could not be read."""
        self._images.labels("unreadable").inc(files)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


def _alarm(summary: Callable[[], dict[str, Any]], of: str) -> float:
    return float(summary()[f"{of}_alarm"])
