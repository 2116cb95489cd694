"""Do the numbers mean what they say?  Calibration of the likelihood ratios, error bars, abstention, sets and counterfactuals.

    python -m benchmarks trust --data FOLDER           # after python -m benchmarks medmnist has trained both methods
    python -m benchmarks trust --data FOLDER --only breastmnist --seeds 0 --images 20 --results /tmp/tried

On the test split, every image scored in full.  Bayescope before and after its calibration on validation; the ResNet-18 before
and after temperature scaling on validation.

- Cllr asks of ratios alone.  ECE, Brier score and log loss ask of post-test probabilities, which are right only at the
  prevalence they are given: the class frequencies of the test images, as in `bayescope evaluate`; also, for both methods, those
  of the training images and equal ones.
- Post-test probability: test sets resampled to 1 %, 10 % and 50 % disease; what was said against what was so.
- Error bars: repetition with other noise; the early-stopped answer's against the mean of the repetitions.
- Sets and abstention of Bayescope are those kept with the model, which rest on validation answers out of fold; the ResNet-18's
  on validation answers that also chose when its training stopped and its temperature.  Equal prior.

Rows are kept in benchmarks/results/trust.jsonl; remove a line to measure it again.
"""

from dataclasses import replace

import numpy as np
import torch
from scipy.special import expit, logit, softmax
from scipy.stats import binomtest

from bayescope.data.dataset import ImageSet
from bayescope.evidence.denoising import level_evidence
from bayescope.evidence.noise import draw_noise
from bayescope.inference.abstention import risk_coverage
from bayescope.inference.decisions import Decision, fit_decisions
from bayescope.inference.explain import counterfactual
from bayescope.inference.model import LikelihoodModel
from bayescope.metrics.bootstrap import bootstrap, by_image, means_of
from bayescope.metrics.calibration import (
    MEASURES,
    assess,
    expected_calibration_error,
    expected_if_calibrated,
)
from bayescope.metrics.classification import brier, log_loss, surprise
from bayescope.types import Floats, Labels
from benchmarks.resample import resample_to_prevalence
from benchmarks.rows import Case, cases, first_of_each_class, interval, parse, parser
from benchmarks.store import Store
from benchmarks.temperature import fit_temperature

DISEASE = {"pneumoniamnist": 1, "breastmnist": 0}
PREVALENCES, RESAMPLED = (0.01, 0.1, 0.5), 200
REPETITIONS, REPEATED = 20, 20
FEW_REPETITIONS, EARLY = 6, 150
"""Early answers: fewer repetitions of more images, of each class, since every image has but one."""
SIGMAS = (0.5, 1.0, 2.0)
_TINY = 1e-9


def at(log_ratio: Floats, prevalence: float) -> Floats:
    """Post-test probabilities ``(n, 2)`` of log-ratios for class 1, ``(n,)``, at a prevalence of class 1."""
    probability = expit(log_ratio + logit(prevalence)).clip(_TINY, 1 - _TINY)
    return np.stack([1 - probability, probability], axis=1)


def calibration(log_ratio: Floats, labels: Labels, priors: dict[str, float]) -> dict[str, object]:
    """Every measure of log-ratios for class 1 ``(n,)``, and what perfect answers would show on as many images."""
    posterior = at(log_ratio, labels.mean())
    found = assess(np.stack([-log_ratio, log_ratio], axis=1), posterior, labels)[1]
    loss = bootstrap(means_of(surprise(posterior, labels)), len(labels), kind="basic")[0]
    perfect = expected_if_calibrated(posterior[:, 1])
    drawn = np.random.default_rng(0).random((200, len(labels))) < posterior[:, 1]
    losses = [surprise(posterior, row.astype(np.int64)).mean() for row in drawn]
    rows: dict[str, object] = {name: interval(found[name]) for name in MEASURES} | {"log loss": interval(loss)}
    rows |= {f"{name}, if perfect": interval(perfect[name]) for name in MEASURES}
    rows["log loss, if perfect"] = np.round([np.mean(losses), *np.quantile(losses, [0.025, 0.975])], 5).tolist()
    return rows | {f"at {name}": at_prior(at(log_ratio, prior), labels) for name, prior in priors.items()}


def at_prior(posterior: Floats, labels: Labels) -> dict[str, float]:
    """What depends on the prior, at another one."""
    return {
        "ECE": expected_calibration_error(posterior[:, 1], labels == 1),
        "Brier score": brier(posterior, labels, positive=1),
        "log loss": log_loss(posterior, labels),
    }


def prevalence_check(log_ratio: Floats, diseased: Labels) -> dict[str, object]:
    """Post-test probability of disease, said and seen, in test sets resampled to a prevalence: all images, and halves.

    Halves: below and above the median of what was said.  ``drawn``: the prevalence in whole images, at which it was said;
    None if the rarer side has not one.  ``seen``: with its interval over test images, each with all its repetitions.
    ``ratio``: seen over said, of endlessly many such sets; next to it its median and 95 % range if all that was said were
    right (labels drawn from it), which needs no case to have been seen.
    """
    rng, right = np.random.default_rng(0), at(log_ratio, diseased.mean())[:, 1]
    labels = (rng.random((400, len(right))) < right).astype(np.int64)
    labels = np.vstack([diseased, labels[(labels.min(axis=1) == 0) & (labels.max(axis=1) == 1)]])
    found: dict[str, object] = {}
    for prevalence in PREVALENCES:
        wanted = np.array([1 - prevalence, prevalence])
        chosen = np.concatenate([resample_to_prevalence(diseased, wanted, seed) for seed in range(RESAMPLED)])
        drawn = float(diseased[chosen].mean())
        if drawn in (0, 1):
            found[str(prevalence)] = {"drawn": None}
            continue
        said = expit(log_ratio + logit(drawn))
        cut, share = np.median(said[chosen]), labels.mean(axis=1, keepdims=True)
        weight = np.where(labels == 1, drawn / share, (1 - drawn) / (1 - share))
        rows: dict[str, object] = {"drawn": drawn}
        for part, members in (("all", said >= 0), ("lower half", said < cut), ("upper half", said >= cut)):
            images = chosen[members[chosen]]
            if not len(images):
                continue
            mean = means_of(diseased[images])
            seen = bootstrap(mean, len(images), images.tolist(), kind="basic", n_bootstrap=200)[0]
            ratio = (weight * labels)[:, members].sum(axis=1) / (weight * said)[:, members].sum(axis=1)
            rows[part] = {
                "said": float(said[images].mean()),
                "seen": interval(replace(seen, high=min(seen.high, 1.0))),
                "ratio": float(ratio[0]),
                "ratio, if perfect": np.quantile(ratio[1:], [0.5, 0.025, 0.975]).round(5).tolist(),
            }
        found[str(prevalence)] = rows
    return found


def repeated(model: LikelihoodModel, images: ImageSet, repetitions: int) -> tuple[Floats, Floats]:
    """Calibrated log-ratios and their error bars in full, with other noise every time: ``(repetitions, n)`` each."""
    settings, x = model.config.evidence, model.checked(images.pixels)
    ratios, bars = np.empty((2, repetitions, len(images)))
    for seed in range(repetitions):
        noise = draw_noise(settings.levels, settings.noises, model.image_shape, 1000 + seed)
        predictions = model.predict_from_levels(level_evidence(model.denoiser, x, model.sigmas, noise))
        ratios[seed], bars[seed] = predictions.log_likelihood_ratio[:, 1], predictions.standard_error[:, 1]
    return ratios, bars


def error_bars(model: LikelihoodModel, images: ImageSet) -> dict[str, object]:
    """Share of 90 % intervals of the calibrated log-ratio in full that cover its mean over repetitions with other noise.

    Each repetition is part of the mean, which is taken into account.  One noise serves all images of a repetition, so the
    interval is over repetitions.
    """
    ratios, bars = repeated(model, images, REPETITIONS)
    mean, spread = ratios.mean(axis=0), ratios.std(axis=0, ddof=1)
    held = (np.abs(ratios - mean) < 1.645 * np.sqrt(1 - 1 / REPETITIONS) * bars).mean(axis=1)
    return {
        "in full": interval(bootstrap(means_of(held), REPETITIONS, kind="basic")[0]),
        "bar over spread": float(np.sqrt((bars**2).mean() / (spread**2).mean())),
    }


def early_error_bars(model: LikelihoodModel, images: ImageSet) -> dict[str, object]:
    """The same of answers that stopped early, with the model's own noises: the stopping rule was learned with these.

    The mean is of other noises, and its own spread is taken into account.
    """
    ratios, _ = repeated(model, images, FEW_REPETITIONS)
    early, spread = model.classify(images.pixels), ratios.std(axis=0, ddof=1)
    bar = np.hypot(early.standard_error[:, 1], spread / np.sqrt(FEW_REPETITIONS))
    held = np.abs(early.log_likelihood_ratio[:, 1] - ratios.mean(axis=0)) < 1.645 * bar
    return {"early": share(int(held.sum()), len(held)), "early images": len(held), "early passes": early.mean_passes}


def counterfactuals(model: LikelihoodModel, images: ImageSet) -> dict[str, dict[str, float]]:
    """How often the image as the other class would have it is answered as that class, and how far it went, by σ."""
    label = torch.tensor(model.classify(images.pixels, disagreement_rate=0.0).posterior.argmax(axis=1))
    x, found = model.checked(images.pixels), {}
    for sigma in SIGMAS:
        other, row = counterfactual(model.denoiser, x, label, 1 - label, sigma), {}
        for name, image in (("counterfactual", other.image), ("reconstruction", other.reconstruction)):
            pixels = model.scale.to_display(image.cpu().numpy())[:, None]
            answer = model.classify(pixels, disagreement_rate=0.0).posterior.argmax(axis=1)
            row[f"{name} flipped"] = float((answer != label.numpy()).mean())
            row[f"{name} distance"] = float((image - x).square().mean(dim=(1, 2, 3)).sqrt().mean())
        found[f"{sigma:g}"] = row
    return found


def decisions(decided: Decision | None, posterior: Floats, labels: Labels) -> dict[str, object]:
    """How sets and abstention did, and the risk at every coverage; None where a method vouches for nothing."""
    curve = risk_coverage(posterior, labels)

    def risk(rows: Labels) -> Floats:
        return np.array([risk_coverage(posterior[rows], labels[rows]).area])

    area = bootstrap(by_image(risk), len(labels), kind="basic")[0]
    found: dict[str, object] = {
        "AURC": interval(area),
        "risk at coverage": {f"{c:.1f}": float(curve.risk[round(c * len(labels)) - 1]) for c in np.linspace(0.1, 1, 10)},
    }
    held = None if decided is None else [decided.sets[labels == k, k] for k in range(2)]
    answered = None if decided is None else decided.answered
    wrong = posterior.argmax(axis=1) != labels
    return found | {
        "set coverage by class": None if held is None else [share(int(h.sum()), len(h)) for h in held],
        "classes in a set": None if decided is None else float(decided.sets.sum(axis=1).mean()),
        "answered": None if answered is None else float(answered.mean()),
        "wrong among answered": None if answered is None or not answered.any() else float(wrong[answered].mean()),
    }


def share(hits: int, n: int) -> list[float]:
    """Share and its 95 % Clopper-Pearson interval."""
    low, high = binomtest(hits, n).proportion_ci()
    return [round(float(v), 5) for v in (hits / n, low, high)]


def measure(case: Case) -> dict[str, object]:
    """Everything of one data set and seed."""
    val, test, model = case.data.val, case.data.test, case.model
    ours = model.classify(test.pixels, [0.5, 0.5], disagreement_rate=0.0)
    val_logits, logits = case.network.logits(val.pixels), case.network.logits(test.pixels)
    temperature = fit_temperature(val_logits, val.labels)
    log_ratio = ours.log_likelihood_ratio[:, 1]
    theirs = logits[:, 1] - logits[:, 0]  # trained with equal class weights, so its log odds are a log-ratio
    priors = {"training frequencies": float(case.data.train.labels.mean()), "equal prior": 0.5}
    ratios = {
        "Bayescope, raw": ours.raw_log_likelihood_ratio[:, 1],
        "Bayescope, calibrated": log_ratio,
        "ResNet-18": theirs,
        "ResNet-18, temperature-scaled": theirs / temperature,
    }
    equal, settings = np.array([0.5, 0.5]), model.config.evidence
    known, asked = softmax(val_logits / temperature, axis=1), softmax(logits / temperature, axis=1)
    their_rule = fit_decisions(known, val.labels, settings.miscoverage, settings.risk, equal)
    decided = {"Bayescope": (model.decide(ours), ours.posterior), "ResNet-18": (their_rule(asked), asked)}
    disease = DISEASE[case.name]
    chosen, more = (test.subset(first_of_each_class(test.labels, count)) for count in (REPEATED, EARLY))
    return {
        "images": {"validation": len(val), "test": len(test)},
        "calibrated": model.calibration.calibrated,
        "warning": model.calibration.warning,
        "temperature": temperature,
        "calibration": {name: calibration(ratio, test.labels, priors) for name, ratio in ratios.items()},
        "prevalence": prevalence_check(log_ratio if disease else -log_ratio, (test.labels == disease).astype(np.int64)),
        "error bars": error_bars(model, chosen) | early_error_bars(model, more),
        "promised": {"miscoverage": settings.miscoverage, "risk": settings.risk},
        "decisions": {name: decisions(rule, posterior, test.labels) for name, (rule, posterior) in decided.items()},
        "counterfactuals": counterfactuals(model, chosen),
    }


def main() -> None:
    args = parse(parser(__doc__))
    store = Store("trust", args.results)
    for case in cases(args):
        store.keep(f"{case.name}-{case.seed}", lambda c=case: measure(c))
