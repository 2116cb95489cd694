"""What Prometheus reads, over HTTP."""

import urllib.request
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bayescope.node.receive import CANNOT_UNDERSTAND
from nodes import FakeCombiner, FakeReader, archive_of, calling, image_file, node_config, running, send, until
from services import free_port


def test_metrics_of_a_node(tmp_path: Path) -> None:
    port = free_port()
    config = node_config(tmp_path / "node", metrics={"port": port}, routes=[{"view": ["CC"]}])
    good, skipped = image_file(tmp_path / "a.dcm", view="CC"), image_file(tmp_path / "b.dcm", view="MLO")
    bad = image_file(tmp_path / "c.dcm", frames=2)

    def read() -> dict[tuple[str, ...], float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        return {
            (item.name, *(value for _, value in sorted(item.labels.items(), reverse=True))): item.value
            for family in families
            for item in family.samples
        }

    with archive_of(config).listening(), running(config, FakeReader(combiner=FakeCombiner())):
        with calling(config, ae_title="STRANGER"):
            pass
        assert send(config, good, skipped, bad) == [0, 0, CANNOT_UNDERSTAND]
        until(lambda: read().get(("bayescope_node_sent_results_total", "sent", "archive")) == 1)
        until(lambda: ("bayescope_node_combined_studies_total", "single") in read())
        found = read()
    expected = {
        ("bayescope_node_associations_total", "accepted"): 1,
        ("bayescope_node_associations_total", "rejected"): 1,
        ("bayescope_node_stored_objects_total", "0000"): 2,
        ("bayescope_node_stored_objects_total", "C000"): 1,
        ("bayescope_node_read_images_total", "answered"): 1,
        ("bayescope_node_combined_studies_total", "single"): 1,
        ("bayescope_node_reading_seconds_count",): 1,
        ("bayescope_node_queue", "instances", "routed"): 1,
        ("bayescope_node_queue", "instances", "skipped"): 1,
        ("bayescope_node_queue", "combinations", "single"): 1,
        ("bayescope_node_queue", "deliveries", "sent"): 1,
    }
    assert {name: found[name] for name in expected} == expected
    assert found["bayescope_node_stored_bytes_total",] > good.stat().st_size
