"""How many images a service answers for, beside what the bare model scores, and whether its memory stays flat.

    python -m benchmarks serve                          # trains a phantom model first, two minutes, kept in runs/serve
    python -m benchmarks serve --screenshot docs/images/page.png

``bayescope serve`` is asked over loopback by 1, 8 and 64 clients at once, each sending one image a request and the next once it
has its answer.  In turn with these, while the service is idle, the bare model classifies the same images, 64 at a time, in one
process with as many threads for the network.  The service has a second process for requests, and the clients are a third: on a
machine with fewer cores these take from the network what it has in the bare run.  What each of the three spends on an image is
recorded.  Then memory of both processes of the service is read while it answers 10,000 requests of 64 clients.  Rows are kept
in benchmarks/results/serve.jsonl.
"""

import argparse
import asyncio
import io
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from bayescope.data.dataset import Dataset, ImageSet
from bayescope.data.phantom import Phantom
from bayescope.evaluation.demo import phantom_config, phantom_dataset
from bayescope.fitting.fit import fit_run
from bayescope.runs.files import MODEL
from bayescope.runs.model_file import load_model
from bayescope.types import Pixels
from benchmarks.store import RESULTS, Store

RUN = Path("runs/serve")
CLIENTS = (1, 8, 64)
_STEPS, _IMAGES, _BATCH = 600, 12_000, 64
_DISAGREEMENT_RATE = 0.01
_PROCESSES = ("process", "scoring_process")


def phantom() -> Dataset:
    """Phantom images of 8 bits with plain lesions."""
    drawn = phantom_dataset(Phantom(mass_contrast=2.0, speck_contrast=3.0), _IMAGES, 0)
    low, high = np.quantile(drawn.train.pixels, [0.0005, 0.9995])

    def in_8_bits(images: ImageSet) -> ImageSet:
        pixels = ((images.pixels - low) / (high - low) * 255).clip(0, 255).round().astype(np.uint8)
        return replace(images, pixels=pixels)

    return replace(drawn, train=in_8_bits(drawn.train), val=in_8_bits(drawn.val), test=in_8_bits(drawn.test))


def train(run: Path, data: Dataset, steps: int = _STEPS) -> None:
    """A model of the phantom that stops early."""
    config = phantom_config(0, {"steps": steps, "batch_size": 32}, levels=6, noises=4)
    evidence = config.evidence.model_copy(update={"disagreement_rate": _DISAGREEMENT_RATE})
    fit_run(data, config.model_copy(update={"evidence": evidence}), run)


def bare_rate(run: Path, pixels: Pixels, seconds: float) -> tuple[float, float]:
    """Images per second that the model classifies in this process, and milliseconds of processor time for each."""
    model, done = load_model(run), 0
    model.classify(pixels[:_BATCH], trust_tests=True)
    began, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - began < seconds:
        start = done % (len(pixels) - _BATCH + 1)
        model.classify(pixels[start : start + _BATCH], trust_tests=True)
        done += _BATCH
    return done / (time.perf_counter() - began), (time.process_time() - used) / done * 1000


def bare_rate_apart(run: Path, pixels: Path, seconds: float) -> tuple[float, float]:
    """The same in a process that does nothing else."""
    code = f"""
import numpy as np
from pathlib import Path
from benchmarks.serve import bare_rate
print(*bare_rate(Path({str(run)!r}), np.load({str(pixels)!r}), {seconds}))
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    rate, milliseconds = map(float, told.split())
    return rate, milliseconds


@contextmanager
def service(run: Path) -> Iterator[str]:
    """URL of ``bayescope serve``, ready to answer."""
    command = [sys.executable, "-m", "bayescope", "serve", str(run), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip().rstrip("/")
            while _get(f"{url}/readyz") is None:
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def _get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return str(answer.read().decode())
    except OSError:
        return None


def figures(url: str) -> dict[str, float]:
    """What the service measures of itself, by name."""
    lines = (_get(f"{url}/metrics") or "").splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


def resident_mib(url: str) -> float:
    """Memory of both processes of the service."""
    found = figures(url)
    return sum(found[f"{process}_resident_memory_bytes"] for process in _PROCESSES) / 2**20


def request(url: str, picture: bytes) -> bytes:
    """A whole request to classify one PNG."""
    body = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + picture + b"\r\n--b--\r\n"
    head = f"POST /v1/classify HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


@dataclass
class Load:
    """Answers of a service to some clients."""

    seconds: list[float] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def run(self, url: str, requests: list[bytes], clients: int, until: float, count: int | None = None) -> None:
        """Ask until a time, or a ``count`` of times."""
        left = iter(range(count)) if count is not None else iter(int, 1)

        async def client(first: int) -> None:
            reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
            number = first
            while time.perf_counter() < until and next(left, None) is not None:
                began = time.perf_counter()
                writer.write(requests[number % len(requests)])
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                await reader.readexactly(length)
                self.seconds.append(time.perf_counter() - began)
                self.statuses.append(int(head.split()[1]))
                number += clients
            writer.close()

        await asyncio.gather(*(client(i) for i in range(clients)))

    def to_dict(self, wall: float) -> dict[str, Any]:
        """Rates and times, the latter in milliseconds."""
        p50, p99 = (float(v) * 1000 for v in np.quantile(self.seconds, [0.5, 0.99]))
        refused = sum(status == 503 for status in self.statuses)
        assert set(self.statuses) <= {200, 503}, set(self.statuses)
        return {"per_second": (len(self.seconds) - refused) / wall, "p50_ms": p50, "p99_ms": p99, "refused": refused}


def measure(run: Path, pixels: Pixels, seconds: float, rounds: int, requests: int, folder: Path) -> dict[str, Any]:
    """All figures, each the mean of the rounds; ``seconds`` of each load in each round."""
    np.save(folder / "pixels.npy", pixels)
    pictures = [png(image[0]) for image in pixels]
    bare, loads = [], dict[int, list[dict[str, float]]]({count: [] for count in CLIENTS})
    with service(run) as url:
        bodies = [request(url, picture) for picture in pictures]
        asyncio.run(Load().run(url, bodies, 8, time.perf_counter() + 60, 100))
        for _ in range(rounds):
            bare.append(bare_rate_apart(run, folder / "pixels.npy", seconds))
            for count, found in loads.items():
                found.append(at_load(url, bodies, count, seconds))
        memory = {"0": resident_mib(url)}
        for done in (requests // 10, requests):
            asyncio.run(Load().run(url, bodies, CLIENTS[-1], time.perf_counter() + 3600, done - int(list(memory)[-1])))
            memory[str(done)] = resident_mib(url)
    return {
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[1],
        "bare_images_per_second": [rate for rate, _ in bare],
        "bare_ms_per_image": [milliseconds for _, milliseconds in bare],
        "clients": {
            str(count): {key: float(np.mean([one[key] for one in found])) for key in found[0]} for count, found in loads.items()
        },
        "memory_mib": memory,
    }


def at_load(url: str, bodies: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    """What so many clients see, and how many images the service scored at once."""
    found, before, began, own = Load(), figures(url), time.perf_counter(), time.process_time()
    asyncio.run(found.run(url, bodies, clients, began + seconds))
    wall, own, after = time.perf_counter() - began, time.process_time() - own, figures(url)

    def spent(name: str) -> float:
        return after[name] - before[name]

    images = spent("bayescope_batch_images_sum")
    requests_cpu, network_cpu = (spent(f"{process}_cpu_seconds_total") for process in _PROCESSES)
    return {
        **found.to_dict(wall),
        "images_per_batch": images / spent("bayescope_batch_images_count"),
        "network_ms": network_cpu / images * 1000,
        "requests_ms": requests_cpu / images * 1000,
        "client_ms": own / images * 1000,
    }


def png(image: Pixels) -> bytes:
    """One grayscale image."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def screenshot(run: Path, data: Dataset, path: Path, folder: Path) -> None:
    """The page with test images of the phantom, two of each patient, one of them mere noise."""
    from playwright.sync_api import expect, sync_playwright

    shown = [data.test.pixels[np.flatnonzero(data.test.labels == k)[i], 0] for i in (1, 0) for k in (2, 0, 1)]
    shown.insert(3, np.random.default_rng(0).integers(0, 255, shown[0].shape).astype(np.uint8))
    files = [folder / f"P{n // 2 + 1}_{('left', 'right')[n % 2]}.png" for n in range(len(shown))]
    for image, file in zip(shown, files, strict=True):
        file.write_bytes(png(image))
    with service(run) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 860})
        page.goto(url)
        page.set_input_files("#files", files)
        expect(page.locator("#status")).to_have_text("7 scored", timeout=60_000)
        page.locator("#rows tr[data-id]").first.click()
        page.keyboard.press("c")
        expect(page.locator("#panes canvas.layer")).to_have_count(5, timeout=60_000)
        page.evaluate("document.activeElement.blur()")
        page.wait_for_timeout(1500)
        page.screenshot(path=path)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, default=RUN, help="where the model of the phantom is kept")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each load in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=10_000, help="while memory is read")
    parser.add_argument("--screenshot", type=Path, help="only take a picture of the page")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the rows")
    args = parser.parse_args()
    data = phantom()
    if not (args.run / MODEL).is_file():
        args.run.parent.mkdir(parents=True, exist_ok=True)
        train(args.run, data)
    if args.screenshot:
        screenshot(args.run, data, args.screenshot, args.run)
        return
    record = measure(args.run, data.test.pixels[:512], args.seconds, args.rounds, args.requests, args.run)
    Store("serve", args.results).put("phantom", record)
    print(json.dumps(record, indent=1))
