"""How strong a shift should calibration be taught?  Chosen here, on validation images alone.

    python -m benchmarks shift --data FOLDER           # after python -m benchmarks medmnist has trained both methods
    python -m benchmarks shift --data FOLDER --only breastmnist --seeds 1

Images of another hospital differ in ways that no validation split shows.  Seven changes at two strengths stand in for them:
moved, stretched in contrast and brightness, noisy, blurred, shaded, of another gamma, and bent.  For every strength of
`calibration_augmentation`, level weights and calibration are fitted on four fifths of the validation images, with their copies,
and asked of the other fifth as it is and under all changes.  Copies may be moved and stretched too; the other five kinds are of
no copy. Accuracy is balanced.  At most 135 images of each class.

Rows are kept in benchmarks/results/shift.jsonl; remove a line to measure it again.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from bayescope.calibration.cross_fit import cross_fitted_calibration, level_weights_of_copies, out_of_fold
from bayescope.evidence.denoising import LevelEvidence
from bayescope.fitting.fit import calibration_augmentation
from bayescope.inference.model import LikelihoodModel
from bayescope.inference.predictions import no_error, predict_from_evidence
from bayescope.metrics.calibration import cllr
from bayescope.training.augmentation import Affine, Intensity
from bayescope.training.sampler import seeded
from bayescope.types import Floats, Labels
from benchmarks.rows import Case, cases, few, parse, parser
from benchmarks.store import Store

Change = Callable[[Tensor, torch.Generator], Tensor]
STRENGTHS, COPY_STRENGTHS = (1.0, 2.0), (0.0, 1.0, 1.5, 2.0)
PER_CLASS, REPETITIONS = 135, 3


def _noisy(x: Floats, strength: float, rng: np.random.Generator) -> Floats:
    return x + 0.04 * strength * rng.normal(size=x.shape)


def _blurred(x: Floats, strength: float, rng: np.random.Generator) -> Floats:
    return ndimage.gaussian_filter(x, (0, 0, 0.4 * strength, 0.4 * strength))


def _shaded(x: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """A ramp of light, in a direction of each image's own."""
    down, right = np.meshgrid(*(np.linspace(-1, 1, side) for side in x.shape[2:]), indexing="ij")
    angle = rng.uniform(0, 2 * np.pi, (len(x), 1, 1, 1))
    return ((x + 1) * np.exp(0.25 * strength * (np.cos(angle) * right + np.sin(angle) * down)) - 1).clip(-1, 1)


def _gamma(x: Floats, strength: float, rng: np.random.Generator) -> Floats:
    return 2 * ((x.clip(-1, 1) + 1) / 2) ** np.exp(0.35 * strength * rng.uniform(-1, 1, (len(x), 1, 1, 1))) - 1


def _bent(x: Floats, strength: float, rng: np.random.Generator) -> Floats:
    """Pixels displaced by smooth random fields."""
    fields = ndimage.gaussian_filter(rng.normal(size=(len(x), 2, *x.shape[2:])), (0, 0, 4, 4))
    fields *= 0.6 * strength / fields.std(axis=(2, 3), keepdims=True)
    place = np.stack(np.meshgrid(*(np.arange(side) for side in x.shape[2:]), indexing="ij")) + fields
    bent = [ndimage.map_coordinates(c, p, order=1, mode="nearest") for image, p in zip(x, place, strict=True) for c in image]
    return np.stack(bent).reshape(x.shape)


def _of_arrays(change: Callable[[Floats, float, np.random.Generator], Floats], strength: float) -> Change:
    def changed(x: Tensor, generator: torch.Generator) -> Tensor:
        rng = np.random.default_rng(generator.initial_seed())
        return torch.from_numpy(change(x.double().cpu().numpy(), strength, rng)).to(x)

    return changed


def changes() -> dict[str, Change]:
    """Each of the seven at either strength."""
    found: dict[str, Change] = {}
    for strength in STRENGTHS:
        found[f"moved {strength:g}"] = Affine(7.5, 0.05, 0.1, flip=False).times(strength)
        found[f"stretched {strength:g}"] = Intensity(0.25 * strength, 0.15 * strength)
        for change in (_noisy, _blurred, _shaded, _gamma, _bent):
            found[f"{change.__name__[1:]} {strength:g}"] = _of_arrays(change, strength)
    return found


def evidence_under(model: LikelihoodModel, pixels: Floats, change: Change | None, seed: int) -> LevelEvidence:
    """Evidence per level of images changed; None leaves them."""
    if change is None:
        return model.level_evidence(pixels)
    generator = seeded(seed)
    return model.level_evidence(pixels, change=lambda x: change(x, generator))


def measure(case: Case) -> dict[str, object]:
    """Cllr and accuracy, out of fold, by strength of the calibration augmentation and by what was asked."""
    model, split, n_train = case.model, few(case.data.val, PER_CLASS), len(case.data.train)
    labels, settings, prior = split.labels, model.config.evidence, np.array([0.5, 0.5])
    asked = [evidence_under(model, split.pixels, change, 1) for change in (None, *changes().values())]
    found: dict[str, object] = {"images": np.bincount(labels).tolist(), "asked": ["as they are", *changes()]}
    for strength in COPY_STRENGTHS:
        evidence = settings.model_copy(update={"calibration_augmentation": strength})
        shift = calibration_augmentation(model.config.model_copy(update={"evidence": evidence}), n_train)
        copies = asked[:1] if shift is None else [asked[0], evidence_under(model, split.pixels, shift, 2)]

        def told(fitting: Labels, rest: Labels, copies: list[LevelEvidence] = copies) -> Floats:
            known = [copy.subset(fitting) for copy in copies]
            calibration = cross_fitted_calibration(settings, known, labels[fitting], prior)
            level_weights = level_weights_of_copies(settings, known, labels[fitting])
            predictions = [level_weights.evidence(copy.subset(rest)) for copy in asked]
            ones = np.ones(len(rest), dtype=np.int64)
            return np.stack(
                [predict_from_evidence(e, prior, no_error, ones, calibration).log_likelihood_ratio[:, 1] for e in predictions],
                axis=1,
            )

        ratios = [out_of_fold(told, labels, seed=seed).T for seed in range(REPETITIONS)]
        right = [[((r > 0) == (labels == 1))[labels == k].mean(axis=-1) for k in (0, 1)] for ratio in ratios for r in ratio]
        found[f"{strength:g}"] = {
            "Cllr": np.mean([[cllr(r, labels == 1) for r in ratio] for ratio in ratios], axis=0).round(4).tolist(),
            "accuracy": np.mean(right, axis=1).reshape(REPETITIONS, -1).mean(axis=0).round(4).tolist(),
        }
    return found


def main() -> None:
    args = parse(parser(__doc__))
    store = Store("shift", args.results)
    for case in cases(args):
        store.keep(f"{case.name}-{case.seed}", lambda c=case: measure(c))
