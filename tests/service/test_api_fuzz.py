"""Requests drawn from the OpenAPI description: whatever is sent, the service does not fail, and answers as described."""

import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from bayescope.service.settings import ServiceSettings
from serving import listening

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.slow
def test_no_request_makes_the_service_fail(tiny_run: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", "--checks", CHECKS, "--max-examples", "12"]
    command += ["--phases", "examples,coverage,fuzzing", "--seed", "0", "--no-color"]
    with listening(tiny_run, ServiceSettings(max_upload=2**20)) as url:
        told = subprocess.run([*command, f"{url}/openapi.json"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
        metrics = httpx.get(f"{url}/metrics").text
    assert told.returncode == 0, told.stdout[-6000:]
    statuses = set(re.findall(r'bayescope_requests_total\{[^}]*path="/v1[^}]*status="(\d+)"', metrics))
    assert {"200", "422"} <= statuses
    assert not any(status.startswith("5") for status in statuses)
