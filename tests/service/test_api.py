"""Answers of the service: those of the command line and of the Python functions."""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from pydicom import dcmread

from bayescope.data.dataset import Dataset
from bayescope.dicom import to_bytes
from bayescope.inference.explain import explain
from bayescope.runs.model_file import load_model
from bayescope.service.settings import ServiceSettings
from conftest import Call
from dicom_sources import SOURCES, written
from mammograms import mammogram, write_mammogram
from serving import client_of, files

PREVALENCE = json.dumps({"upper": 0.1, "lower": 0.9})


def array(found: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(found["base64"]), dtype=found["dtype"]).reshape(found["shape"])


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    blocks = [dict(line.split(": ", 1) for line in block.splitlines() if ": " in line) for block in text.split("\r\n\r\n")]
    return [(block["event"], json.loads(block["data"])) for block in blocks if "event" in block]


def same_numbers(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Records equal but for rounding, which the batch of the command line decides."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key] == (pytest.approx(value, rel=1e-4, abs=1e-5) if isinstance(value, float | dict) else value), key


def test_classify_answers_what_the_command_prints(
    client: TestClient, pictures: list[bytes], tiny_run: Path, tmp_path: Path, cli: Call
) -> None:
    (tmp_path / "image0.png").write_bytes(pictures[0])
    (tmp_path / "image1.png").write_bytes(pictures[1])
    printed = cli(
        "classify", tiny_run, tmp_path / "image0.png", tmp_path / "image1.png", "--json", "--prevalence", "upper=0.1,lower=0.9"
    ).out
    answer = client.post("/v1/classify", files=files(*pictures[:2]), data={"prevalence": PREVALENCE})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    for i, (found, line) in enumerate(zip(answer.json()["records"], printed.splitlines(), strict=True)):
        same_numbers(found, json.loads(line) | {"image": f"image{i}.png"})


def test_what_cannot_be_read_comes_last_under_its_own_name(client: TestClient, pictures: list[bytes]) -> None:
    sent = [("files", ("../../etc/broken.png", b"no image")), *files(pictures[0])]
    read, failed = client.post("/v1/classify", files=sent).json()["records"]
    assert read["image"] == "image0.png"
    assert failed["image"] == "../../etc/broken.png"
    assert "../../etc/broken.png: cannot be read" in failed["error"]
    assert "bayescope-" not in failed["error"]
    assert "upload-" not in failed["error"]


def test_settings_reach_the_model(client: TestClient, pictures: list[bytes], tiny_run: Path, tiny_data: Dataset) -> None:
    (full,) = client.post("/v1/classify", files=files(pictures[0]), data={"disagreement_rate": 0}).json()["records"]
    (short,) = client.post("/v1/classify", files=files(pictures[0]), data={"max_passes": 2}).json()["records"]
    assert full["passes"] == load_model(tiny_run).classify(tiny_data.test.pixels[:1], disagreement_rate=0.0).passes[0]
    assert short["passes"] < full["passes"]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"prevalence": '{"upper": 0.5}'}, "expected one for each of: upper, lower"),
        ({"prevalence": '{"upper": 0.5, "lower": 0.9}'}, "sum to 1.4"),
        ({"prevalence": '{"upper": NaN, "lower": 0.9}'}, "expected"),
        ({"prevalence": "upper=0.5"}, "prevalence"),
        ({"disagreement_rate": "1"}, "disagreement_rate"),
        ({"max_passes": "1"}, "max_passes 1; expected at least 2"),
        ({"frame": "0"}, "frame"),
        ({"study": "1.2", "series": "1.3", "instance": "1.4"}, "without --dicomweb"),
        ({"study": "../etc", "series": "1.3", "instance": "1.4"}, "study"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    client: TestClient, pictures: list[bytes], data: dict[str, str], says: str
) -> None:
    answer = client.post("/v1/classify", files=files(pictures[0]), data=data)
    assert answer.status_code == 422
    assert says in answer.json()["error"]


def test_a_request_without_images_is_refused(client: TestClient) -> None:
    answer = client.post("/v1/classify", data={"max_passes": "4"})
    assert (answer.status_code, "no image" in answer.json()["error"]) == (422, True)


def test_events_end_in_the_record_that_classify_answers(client: TestClient, pictures: list[bytes]) -> None:
    told = events(client.post("/v1/classify/events", files=[*files(*pictures[:2]), ("files", ("c.png", b""))]).text)
    expected = client.post("/v1/classify", files=files(*pictures[:2])).json()["records"]
    assert [
        content["record"] for kind, content in sorted(told, key=lambda event: event[1].get("index", -1)) if kind == "record"
    ] == expected
    assert told[-1][0] == "done"
    assert [content["image"] for kind, content in told if kind == "error"] == ["c.png"]
    (image, _) = [content for kind, content in told if kind == "image"]
    assert image["preview"].startswith("data:image/png;base64,")
    assert image["patient"] is None


def test_progress_is_told_while_passes_accumulate(client: TestClient, pictures: list[bytes]) -> None:
    told = events(client.post("/v1/classify/events", files=files(pictures[0]), data={"disagreement_rate": "0.001"}).text)
    progress = [content for kind, content in told if kind == "progress"]
    passes = [content["passes"] for content in progress]
    assert len(passes) > 1
    assert passes == sorted(set(passes))
    first, last = (content["standard_error"]["upper"] for content in (progress[0], progress[-1]))
    assert last < first
    record = next(content["record"] for kind, content in told if kind == "record")
    assert progress[-1]["log_likelihood_ratio"] == pytest.approx(record["log_likelihood_ratio"])


def test_progress_is_told_of_an_image_that_is_scored_in_full(client: TestClient, pictures: list[bytes]) -> None:
    told = events(client.post("/v1/classify/events", files=files(pictures[0]), data={"disagreement_rate": "0"}).text)
    first, last = [content for kind, content in told if kind == "progress"]
    record = next(content["record"] for kind, content in told if kind == "record")
    assert (first["passes"], last["passes"], record["passes"]) == (8, 16, 16)
    assert first["standard_error"]["upper"] is None
    for key in ("posterior", "log_likelihood_ratio", "standard_error"):
        assert last[key] == record[key]


def test_drift_is_watched_of_images_by_their_content(tiny_run: Path, pictures: list[bytes]) -> None:
    settings = ServiceSettings(drift_window=len(pictures))
    with client_of(tiny_run, settings) as client:
        for sent in (pictures[:1], pictures[:1], pictures[:-1]):
            client.post("/v1/classify", files=files(*sent))
        client.post("/v1/classify", files=files(pictures[-1]), data={"prevalence": '{"upper": 0.1, "lower": 0.9}'})
        assert client.get("/v1/model").json()["drift"]["images"] == len(pictures) - 1
        client.post("/v1/classify/events", files=files(pictures[-1]))
        found = client.get("/v1/model").json()["drift"]
        assert (found["images"], found["looks"], found["window"]) == (len(pictures), 1, len(pictures))
        assert 'bayescope_drift_alarm{of="novelty"} 0.0' in client.get("/metrics").text


def test_the_map_adds_up_to_the_ratio_that_is_reported(
    client: TestClient, pictures: list[bytes], tiny_run: Path, tiny_data: Dataset
) -> None:
    found = client.post("/v1/explain", files=files(pictures[3]), data={"counterfactual": "true", "sigma": "0.5"}).json()
    ratio = found["record"]["log_likelihood_ratio"][found["winner"]]
    assert found["log_likelihood_ratio"] == pytest.approx(ratio, abs=1e-4)
    assert array(found["evidence"]).sum() == pytest.approx(ratio, abs=1e-4)
    assert array(found["levels"]).sum() + found["constant"] == pytest.approx(ratio, abs=1e-3)
    assert np.array_equal(array(found["image"]), tiny_data.test.pixels[3])
    expected = explain(load_model(tiny_run), tiny_data.test.pixels[3:4], counterfactual_sigma=0.5)
    np.testing.assert_allclose(array(found["evidence"]), expected.evidence_map.total[0], atol=1e-4)
    assert expected.counterfactual is not None
    change = expected.counterfactual.change[0].mean(dim=0).numpy()
    np.testing.assert_allclose(array(found["counterfactual"]["change"]), change, atol=1e-4)


@pytest.mark.slow
def test_explanations_are_drawn(client: TestClient, pictures: list[bytes]) -> None:
    for picture, data in (("evidence", {}), ("scales", {}), ("counterfactual", {"counterfactual": "true"})):
        answer = client.post(f"/v1/explain/{picture}.png", files=files(pictures[0]), data=data)
        assert answer.headers["content-type"] == "image/png"
        assert answer.content.startswith(b"\x89PNG")
    assert client.post("/v1/explain/counterfactual.png", files=files(pictures[0])).status_code == 422
    assert client.post("/v1/explain/other.png", files=files(pictures[0])).status_code == 422


def test_one_image_is_explained_at_a_time(client: TestClient, pictures: list[bytes]) -> None:
    answer = client.post("/v1/explain", files=files(*pictures[:2]))
    assert (answer.status_code, "2 images; expected one" in answer.json()["error"]) == (422, True)
    answer = client.post("/v1/explain", files=files(pictures[0]), data={"against": "neither"})
    assert (answer.status_code, "expected one of: upper, lower" in answer.json()["error"]) == (422, True)


def test_the_model_card_tells_of_data_calibration_and_limits(client: TestClient) -> None:
    card = client.get("/v1/model").json()
    assert card["class_names"] == ["upper", "lower"]
    assert card["data"]["source"] == "stripes"
    assert "path" not in card["data"]
    assert len(card["fingerprint"]) == 64
    assert card["calibration"]["images"] == {"upper": 15, "lower": 15}
    assert card["limits"][0] == "For research; not a medical device."
    assert "val_denoising_loss" in card["validation"]


def test_measures_kept_in_the_run_are_on_the_card(tiny_run: Path, tmp_path: Path) -> None:
    for path in tiny_run.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "measures.json").write_text('{"AUC": {"value": 0.9, "low": 0.8, "high": 0.95}}')
    with client_of(tmp_path) as client:
        assert client.get("/v1/model").json()["measures"]["AUC"]["value"] == 0.9


def test_state_and_metrics(client: TestClient, pictures: list[bytes]) -> None:
    client.post("/v1/classify", files=files(pictures[0]))
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    text = client.get("/metrics").text
    assert 'bayescope_requests_total{method="POST",path="/v1/classify",status="200"}' in text
    assert "bayescope_batch_images_bucket" in text
    assert "process_resident_memory_bytes" in text


def test_the_page_and_its_parts_are_served(client: TestClient) -> None:
    assert "Drop images" in client.get("/").text
    for part in ("style.css", "favicon.svg", "js/main.js", "vendor/openseadragon.js", "vendor/openseadragon.LICENSE.txt"):
        assert client.get(f"/{part}").status_code == 200
    assert client.get("/../api.py").status_code == 404
    assert client.get("/%2e%2e/api.py").status_code == 404


@pytest.fixture(scope="module")
def dicom_client(prepared_run: Path) -> Iterator[TestClient]:
    with client_of(prepared_run, ServiceSettings(max_pixels=4000)) as found:
        yield found


def test_dicom_is_grouped_by_patient_without_naming_any(dicom_client: TestClient, tmp_path: Path) -> None:
    sent = []
    for i, patient in enumerate(("Smith", "Smith", "Jones", "")):
        write_mammogram(tmp_path / f"{i}.dcm", mammogram(24, 16, seed=i), PatientID=patient, PatientName="Ann")
        sent.append(("files", (f"{i}.dcm", (tmp_path / f"{i}.dcm").read_bytes())))
    text = dicom_client.post("/v1/classify/events", files=sent).text
    patients = [content["patient"] for kind, content in events(text) if kind == "image"]
    assert patients[0] == patients[1] != patients[2]
    assert patients[3] is None
    assert "Smith" not in text
    assert "Ann" not in text


def test_a_report_is_about_the_instance_that_was_sent(dicom_client: TestClient) -> None:
    content = to_bytes(written(SOURCES["mammogram"]()))
    answer = dicom_client.post("/v1/report", files=[("files", ("a.dcm", content))])
    assert answer.headers["content-type"] == "application/dicom"
    report, source = dcmread(io.BytesIO(answer.content)), dcmread(io.BytesIO(content))
    assert report.Modality == "SR"
    assert report.StudyInstanceUID == source.StudyInstanceUID
    assert dicom_client.post("/v1/report", files=[("files", ("a.dcm", content))]).content == answer.content


def test_a_report_needs_dicom(dicom_client: TestClient, client: TestClient, pictures: list[bytes]) -> None:
    answer = client.post("/v1/report", files=files(pictures[0]))
    assert answer.status_code == 422
    assert "image0.png" in answer.json()["error"]


def test_images_of_too_many_pixels_are_not_decoded(dicom_client: TestClient, tmp_path: Path) -> None:
    write_mammogram(tmp_path / "a.dcm", mammogram(80, 60, seed=3))
    (record,) = dicom_client.post("/v1/classify", files=[("files", ("a.dcm", (tmp_path / "a.dcm").read_bytes()))]).json()[
        "records"
    ]
    assert "4800 pixels; expected at most 4000" in record["error"]
