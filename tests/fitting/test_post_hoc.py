"""What few, one-sided or no validation images teach, and what patients with several images do not."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bayescope.calibration import cross_fit
from bayescope.calibration.cross_fit import level_weights_of_copies, out_of_fold
from bayescope.config import Config, EvidenceConfig
from bayescope.data.dataset import Dataset
from bayescope.evidence.denoising import LevelEvidence, gaussian_evidence
from bayescope.evidence.level_weights import LevelWeights
from bayescope.fitting import post_hoc
from bayescope.fitting.fit import fit, images_to_score
from bayescope.inference.novelty import fit_novelty
from bayescope.inference.post_hoc import PostHoc
from bayescope.inference.predictions import predict_from_evidence
from bayescope.metrics.classification import measure
from bayescope.runs.model_file import load_model, save_model
from bayescope.training.augmentation import STRONG
from bayescope.training.sampler import seeded
from conftest import write_npz


def short(config: Config) -> Config:
    training = config.training.model_copy(update={"steps": 4, "batch_size": 6})
    return config.model_copy(update={"training": training})


@pytest.mark.parametrize("kept", ["none", "one class"])
def test_validation_of_no_image_or_one_class_warns_and_marks_the_raw_value(
    tiny_data: Dataset, tiny_config: Config, kept: str
) -> None:
    val = tiny_data.val
    chosen = np.flatnonzero(val.labels == 0) if kept == "one class" else np.arange(0)
    model = fit(replace(tiny_data, val=val.subset(chosen)), short(tiny_config))
    assert not model.calibration.calibrated
    assert model.calibration.warning.startswith("uncalibrated")
    assert model.decisions is None
    predictions = model.classify(tiny_data.test.pixels[:2])
    np.testing.assert_allclose(predictions.log_likelihood_ratio, predictions.raw_log_likelihood_ratio)


def test_sets_and_abstention_are_kept_with_the_model(tiny_data: Dataset, tiny_config: Config, tmp_path) -> None:
    model = fit(tiny_data, short(tiny_config))
    assert model.decisions is not None
    assert model.decisions.sets.miscoverage == tiny_config.evidence.miscoverage
    assert model.decisions.abstention.risk == tiny_config.evidence.risk
    assert sum(model.decisions.sets.images) == len(tiny_data.val)
    assert model.decisions.prior == (0.5, 0.5)
    save_model(tmp_path / "run", model)
    assert load_model(tmp_path / "run").decisions == model.decisions


def test_patients_of_the_held_out_images_reach_every_fit(
    tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[object] = []

    def spy(*args: object) -> np.ndarray:
        seen.append(args[2])
        return out_of_fold(*args)

    for module in (cross_fit, post_hoc):
        monkeypatch.setattr(module, "out_of_fold", spy)
    patients = tuple(f"P{i // 4}" for i in range(len(tiny_data.val)))
    model = fit(replace(tiny_data, val=replace(tiny_data.val, groups=patients)), short(tiny_config))
    assert seen[:2] == [patients, patients]
    assert all(set(part) <= set(patients) for part in seen[2:])
    assert model.decisions is not None
    assert sum(model.decisions.sets.images) == len(set(patients))  # a patient's images are not so many proofs


@pytest.mark.slow
def test_copies_of_validation_images_are_changed_as_in_training(tiny_data: Dataset, tiny_config: Config) -> None:
    """The calibration sees them, sets rest on the images alone; ``scored`` hears of all; 0 turns them off."""

    def augmenting(strength: float) -> Config:
        evidence = tiny_config.evidence.model_copy(update={"calibration_augmentation": strength, "level_weights": "fitted"})
        training = short(tiny_config).training.model_copy(update={"augmentation": "light"})
        return tiny_config.model_copy(update={"evidence": evidence, "training": training})

    models = {}
    for strength, copies in ((0.0, 0), (1.0, 1), (3.0, 1)):
        heard: list[int] = []
        models[strength] = fit(tiny_data, augmenting(strength), scored=heard.append)
        assert sum(heard) == images_to_score(tiny_data, augmenting(strength)) == (1 + copies) * len(tiny_data.val)
    plain, once, thrice = models.values()
    assert plain.calibration != once.calibration != thrice.calibration
    assert plain.calibration.images == once.calibration.images == (15, 15)
    assert once.decisions is not None
    assert sum(once.decisions.sets.images) == len(tiny_data.val)
    again = fit(tiny_data, augmenting(1.0))
    assert again.calibration == once.calibration


def test_sets_and_abstention_rest_on_images_as_they_are(
    tiny_data: Dataset, tiny_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weights are the bound's, so evidence of the images as they are is known, and no other is asked for decisions."""
    asked: list[np.ndarray] = []

    def spy(evidence: np.ndarray, *rest: object) -> object:
        asked.append(evidence)
        return predict_from_evidence(evidence, *rest)

    def count(settings: EvidenceConfig, copies: list[LevelEvidence], labels: np.ndarray) -> LevelWeights:
        seen.append(len(copies))
        return level_weights_of_copies(settings, copies, labels)

    seen: list[int] = []
    model = fit(tiny_data, short(tiny_config))
    monkeypatch.setattr(post_hoc, "predict_from_evidence", spy)
    monkeypatch.setattr(post_hoc, "level_weights_of_copies", count)
    calibrated = post_hoc.calibrated(model, tiny_data.val, STRONG)
    known = calibrated.level_weights.evidence(model.level_evidence(tiny_data.val.pixels))
    assert set(seen) == {2}  # of all weights that are fitted
    found, as_scored = np.concatenate(asked[::2]), np.concatenate(asked[1::2])  # in full, and as new images are scored
    assert len(found) == len(as_scored) == len(tiny_data.val)
    np.testing.assert_allclose(np.sort(found[:, 0]), np.sort(known[:, 0]))
    changed = model.level_evidence(tiny_data.val.pixels, change=STRONG.in_turn(len(tiny_data.val), seeded(0)))
    assert not np.allclose(np.sort(calibrated.level_weights.evidence(changed)[:, 0]), np.sort(known[:, 0]))


def test_novelty_ranks_an_image_among_other_patients() -> None:
    """Every patient's two images are the same: one of them must not help to call the other usual."""
    errors = np.repeat(np.random.default_rng(0).normal(size=(40, 3)), 2, axis=0)
    patients = [i // 2 for i in range(80)]
    test = fit_novelty(errors, patients)
    assert sum(len(fold.scores) for fold in test.folds) == 80
    for fold in test.folds:
        scores = np.sort(fold.scores)
        np.testing.assert_allclose(scores[0::2], scores[1::2])


def test_intervals_are_over_patients() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(2, size=60)
    said = 1 / (1 + np.exp(-rng.normal(2.0 * truth - 1.0, 2.0)))
    posterior, labels = np.repeat(np.stack([1 - said, said], axis=1), 6, axis=0), np.repeat(truth, 6)
    patients = np.repeat(np.arange(60), 6).tolist()
    whole, each = measure(posterior, labels, patients)["AUC"], measure(posterior, labels)["AUC"]
    assert whole.value == each.value
    assert whole.high - whole.low > 1.8 * (each.high - each.low)


@pytest.mark.slow
def test_a_class_without_validation_images_is_warned_of_before_training(cli, tiny_data: Dataset, tmp_path) -> None:
    val = tiny_data.val.subset(np.flatnonzero(tiny_data.val.labels == 0))
    data = write_npz(tmp_path / "lopsided.npz", replace(tiny_data, val=val))
    code, _, error = cli("train", data, "--out", tmp_path / "run", "--steps", 2)
    assert code == 0
    assert "validation images per class: [15, 0]" in " ".join(error.split())
    code, text, error = cli("classify", tmp_path / "run", *_pictures(tiny_data, tmp_path))
    assert (code, "UNCALIBRATED" in text) == (0, True)
    assert "no prediction sets" in error


def _pictures(data: Dataset, folder) -> list:
    Image.fromarray(data.test.pixels[0, 0]).save(folder / "case.png")
    return [folder / "case.png"]


def test_held_out_images_are_kept_as_new_ones_are_scored(tiny_data: Dataset, tiny_config: Config, tmp_path) -> None:
    """Replayed from the draws of a full evaluation, the evidence is that of :meth:`classify`, early stops included."""
    config = short(tiny_config)
    evidence = config.evidence.model_copy(update={"disagreement_rate": 0.2})
    model = fit(tiny_data, config.model_copy(update={"evidence": evidence}))
    levels = model.level_evidence(tiny_data.val.pixels)
    gaussian = gaussian_evidence(model.denoiser, model.checked(tiny_data.val.pixels), levels.sigmas)
    replay = post_hoc._Replay(model, model.statistics, levels, gaussian)
    everything = np.arange(len(tiny_data.val))
    expected = model.classify(tiny_data.val.pixels)
    assert expected.passes.min() < levels.passes
    np.testing.assert_allclose(replay(model.level_weights, model.calibration, everything), expected.evidence, rtol=1e-6)
    evidence = evidence.model_copy(update={"disagreement_rate": 0.0})
    in_full = replace(replay, model=replace(model, config=config.model_copy(update={"evidence": evidence})))
    np.testing.assert_array_equal(
        in_full(model.level_weights, model.calibration, everything), model.level_weights.evidence(levels)
    )
    assert model.post_hoc.reference is not None
    save_model(tmp_path / "run", model)
    kept = load_model(tmp_path / "run").post_hoc.reference
    assert kept is not None
    assert kept.log_likelihood.shape == (len(tiny_data.val), 2)
    np.testing.assert_array_equal(kept.log_likelihood, model.post_hoc.reference.log_likelihood)


def test_a_run_of_before_references_and_poolings_were_kept_is_read(tiny_data: Dataset, tiny_config: Config) -> None:
    fitted = fit(tiny_data, short(tiny_config)).post_hoc
    old = {name: part for name, part in fitted.to_dict().items() if name not in ("reference", "poolings")}
    assert PostHoc.from_dict(old).reference is None
    assert PostHoc.from_dict(old).poolings == ()
    assert PostHoc.from_dict(old).decisions == fitted.decisions
