"""Do evidence maps point at what matters?

    python -m benchmarks maps --phantom RUN            # a run folder of `bayescope demo`: the lesion's place is known
    python -m benchmarks maps --data FOLDER            # insertion and deletion, after python -m benchmarks medmnist
    python -m benchmarks maps --data FOLDER --phantom RUN --seeds 0 --images 4 --results /tmp/tried

On the phantom, for images with a lesion and the map of their class against normal: the share of the absolute evidence inside
the lesion (pixels where its profile exceeds a tenth of its peak), and how often the map's smoothed maximum is inside, next to
the ideal observer's own map (zero where no lesion can be, by its nature).  What the calibration adds belongs to no pixel and is
left out.  On real images: pixels in the order of the map of the winner are taken away (deletion: a blurred image takes their
place) or put into a blurred image (insertion); the winner's posterior at every share, and the area under it.
Kept in benchmarks/results/maps.jsonl; remove a line to measure it again.
"""

from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.special import softmax

from bayescope.data.phantom import Phantom
from bayescope.runs.model_file import load_model
from bayescope.types import Floats, Labels
from benchmarks.rows import Case, cases, few, parse, parser
from benchmarks.store import Store

LESIONS, PER_CLASS, STEPS = 60, 10, 8
_SMOOTHING = 1.0


def phantom_cases(phantom: Phantom, n: int, seed: int) -> tuple[Floats, Labels, Floats]:
    """Images with a lesion ``(n, size, size)``, their class and the lesion's profile at its place."""
    rng = np.random.default_rng(seed)
    labels = 1 + rng.integers(phantom.lesions.shape[0] - 1, size=n)
    places = rng.integers(phantom.lesions.shape[1], size=n)
    profiles = phantom.lesions[labels, places]
    return phantom.texture(n, rng) + profiles, labels, profiles


def ideal_map(phantom: Phantom, images: Floats, labels: Labels) -> Floats:
    """The ideal observer's log-ratio against normal by pixel: mean over places, by their posterior, of what each pixel gives.

    log N(x; s, K)/N(x; 0, K) = sᵀK⁻¹x - ½ sᵀK⁻¹s is a sum over pixels of s (K⁻¹x - ½ K⁻¹s).
    """

    def solve(x: Floats) -> Floats:
        return np.fft.ifft2(np.fft.fft2(x) / phantom.power_spectrum).real

    by_place = phantom.log_likelihood_by_place(images)
    maps = np.empty_like(images)
    for i, k in enumerate(labels):
        lesions = phantom.lesions[k]
        shares = lesions * (solve(images[i]) - solve(lesions) / 2)
        maps[i] = np.einsum("p,phw->hw", softmax(by_place[i, k]), shares)
    return maps


def pointing(maps: Floats, profiles: Floats) -> dict[str, float]:
    """Share of the absolute evidence inside the lesion, and how often the smoothed maximum is there."""
    inside = profiles > 0.1 * profiles.max(axis=(1, 2), keepdims=True)
    share = (np.abs(maps) * inside).sum(axis=(1, 2)) / np.abs(maps).sum(axis=(1, 2))
    smooth = gaussian_filter(maps, (0, _SMOOTHING, _SMOOTHING)).reshape(len(maps), -1)
    hit = inside.reshape(len(maps), -1)[np.arange(len(maps)), smooth.argmax(axis=1)]
    return {"share": float(share.mean()), "pointing": float(hit.mean()), "area": float(inside.mean())}


def measure_phantom(run: Path, count: int) -> dict[str, dict[str, float]]:
    """Our maps and the ideal observer's on the same images."""
    phantom, model = Phantom(), load_model(run)
    images, labels, profiles = phantom_cases(phantom, count, 77)
    maps = model.evidence_maps(images[:, None].astype(np.float32))
    ours = np.stack([maps.between(int(k), 0).levels[i].sum(axis=0) for i, k in enumerate(labels)])
    return {"Bayescope": pointing(ours, profiles), "ideal observer": pointing(ideal_map(phantom, images, labels), profiles)}


def curves(case: Case, per_class: int) -> dict[str, object]:
    """The winner's posterior as pixels go or come, in the order of the map and in random order, and the areas under it."""
    split = few(case.data.test, per_class)
    pixels = split.pixels.astype(np.float64)
    winner = case.model.classify(split.pixels, disagreement_rate=0.0).posterior.argmax(axis=1)
    maps = case.model.evidence_maps(split.pixels)
    total = np.stack([maps.between(int(k), 1 - int(k)).levels[i].sum(axis=0) for i, k in enumerate(winner)])
    blurred = gaussian_filter(pixels, (0, 0, 4, 4))
    random = np.random.default_rng(0).permuted(np.tile(np.arange(total[0].size), (len(total), 1)), axis=1)
    found: dict[str, object] = {"images": len(split)}
    for name, order in (("map", (-total).reshape(len(total), -1).argsort(axis=1)), ("random", random)):
        rank = order.argsort(axis=1).reshape(len(total), 1, *total.shape[1:])
        for kind, kept, filled in (("deletion", blurred, pixels), ("insertion", pixels, blurred)):
            posterior = []
            for share in np.linspace(0, 1, STEPS + 1):
                mixed = np.where(rank < share * total[0].size, kept, filled)
                answer = case.model.classify(np.rint(mixed).astype(np.uint8), disagreement_rate=0.0).posterior
                posterior.append(float(answer[np.arange(len(winner)), winner].mean()))
            found[f"{kind}, {name}"] = float(np.trapezoid(posterior, dx=1 / STEPS))
            found[f"{kind}, {name}, curve"] = np.round(posterior, 5).tolist()
    return found


def main() -> None:
    args = parse(parser(__doc__, phantom=True))
    store = Store("maps", args.results)
    if args.phantom:
        store.keep("phantom", lambda: measure_phantom(args.phantom, args.images or LESIONS))
    for case in cases(args):
        row = f"{case.name}-{case.seed}"
        store.keep(row, lambda c=case: curves(c, args.images or PER_CLASS))
