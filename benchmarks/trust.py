"""Do the numbers mean what they say?  Calibration of the likelihood ratios, error bars, abstention, sets and counterfactuals.

    python benchmarks/trust.py --data FOLDER           # after benchmarks/medmnist.py has trained the networks

On the test split, equal prior, every image weighed in full.  Bayescope before and after its calibration on validation; the
ResNet-18 before and after temperature scaling on validation.  Rows are kept in benchmarks/results/trust.
"""

import numpy as np
import torch
from scipy.special import expit

from bayescope.decision import fit_abstention, fit_conformal_sets, risk_coverage
from bayescope.evidence.bound import draw_noise, level_evidence
from bayescope.explain import counterfactual
from bayescope.reliability import assess, bootstrap, expected_if_calibrated, resample_to_prevalence
from bayescope.shapes import Floats, Labels
from rows import RESULTS, Case, cases, first_of_each_class, interval, keep, parser
from temperature import fit_temperature

PREVALENCES = (0.01, 0.1, 0.5)
REPETITIONS, REPEATED = 6, 20
MISCOVERAGE, RISK = 0.1, 0.1
SIGMA = 1.0


def calibration(log_ratio: Floats, labels: Labels) -> dict[str, list[float]]:
    """Every measure of binary log-ratios for class 1 ``(n,)``, and what perfect answers would show on as many images."""
    posterior = np.stack([expit(-log_ratio), expit(log_ratio)], axis=1)
    measured = assess(np.stack([-log_ratio, log_ratio], axis=1), posterior, labels)[1]
    perfect = expected_if_calibrated(posterior[:, 1])
    return {name: interval(value) for name, value in measured.items()} | {
        f"{name}, if perfect": interval(value) for name, value in perfect.items()
    }


def prevalence_check(log_ratio: Floats, labels: Labels) -> dict[str, object]:
    """Post-test probability of class 1 said and seen, in test sets resampled to a prevalence."""
    found: dict[str, object] = {}
    for prevalence in PREVALENCES:
        chosen = np.concatenate(
            [resample_to_prevalence(labels, np.array([1 - prevalence, prevalence]), seed) for seed in range(20)]
        )
        said = expit(log_ratio + np.log(prevalence / (1 - prevalence)))
        above = said[chosen] >= np.median(said[chosen])
        rows = {}
        for half, members in (("lower half", ~above), ("upper half", above)):
            images = chosen[members]
            seen = bootstrap(lambda rows, i=images: np.array([labels[i[rows]].mean()]), len(images), images.tolist(), 0, 200)[0]
            rows[half] = {"said": float(said[images].mean()), "seen": interval(seen)}
        found[str(prevalence)] = rows
    return found


def error_bar_coverage(case: Case, chosen: Labels) -> float:
    """Share of 90 % intervals of the log-ratio that hold its mean over repetitions with other noise."""
    model, pixels = case.model, case.data.test.pixels[chosen]
    settings = model.config.evidence
    x, sigmas = model.checked(pixels), model.level_evidence(pixels[:1]).sigmas
    ratios, bars = [], []
    for seed in range(REPETITIONS):
        noise = draw_noise(settings.levels, settings.noises, model.image_shape, 1000 + seed)
        answers = model.answer(level_evidence(model.denoiser, x, sigmas, noise))
        ratios.append(answers.log_likelihood_ratio[:, 1])
        bars.append(answers.standard_error[:, 1])
    off = np.array(ratios) - np.mean(ratios, axis=0)
    shrink = np.sqrt(1 - 1 / REPETITIONS)
    return float((np.abs(off) < 1.645 * shrink * np.array(bars)).mean())


def counterfactuals(case: Case, chosen: Labels) -> dict[str, float]:
    """How often the image as the other class would have it is answered as that class, and how far it went."""
    model, split = case.model, case.data.test.subset(chosen)
    label = torch.tensor(model.classify(split.pixels, error_rate=0.0).posterior.argmax(axis=1))
    x = model.checked(split.pixels)
    other = counterfactual(model.denoiser, x, label, 1 - label, SIGMA)
    found = {}
    for name, image in (("counterfactual", other.image), ("reconstruction", other.reconstruction)):
        pixels = model.scale.to_display(image.numpy())[:, None]
        answer = model.classify(pixels, error_rate=0.0).posterior.argmax(axis=1)
        found[f"{name} flipped"] = float((answer != label.numpy()).mean())
        found[f"{name} distance"] = float((image - x).square().mean(dim=(1, 2, 3)).sqrt().mean())
    return found


def measure(case: Case) -> dict[str, object]:
    """Everything of one data set and seed."""
    val, test = case.data.val, case.data.test
    ours = case.model.classify(test.pixels, error_rate=0.0)
    held_out = case.model.classify(val.pixels, error_rate=0.0)
    logits, val_logits = case.network.logits(test.pixels), case.network.logits(val.pixels)
    temperature = fit_temperature(val_logits, val.labels)
    log_ratio = ours.log_likelihood_ratio[:, 1]
    theirs = logits[:, 1] - logits[:, 0]  # trained with classes weighing alike, so its log odds are a log-ratio
    sets = fit_conformal_sets(held_out.posterior, val.labels, MISCOVERAGE).sets(ours.posterior)
    abstention = fit_abstention(held_out.posterior, val.labels, RISK)
    answered = abstention.answers(ours.posterior)
    chosen = first_of_each_class(test.labels, REPEATED)
    probability = np.stack([expit(-theirs), expit(theirs)], axis=1)
    return {
        "calibration": {
            "Bayescope, raw": calibration(ours.raw_log_likelihood_ratio[:, 1], test.labels),
            "Bayescope, calibrated": calibration(log_ratio, test.labels),
            "ResNet-18": calibration(theirs, test.labels),
            "ResNet-18, temperature-scaled": calibration(theirs / temperature, test.labels),
        },
        "validation_images": len(val),
        "prevalence": prevalence_check(log_ratio, test.labels),
        "error_bar_coverage": error_bar_coverage(case, chosen),
        "conformal_coverage": [float(sets[test.labels == k, k].mean()) for k in range(2)],
        "conformal_size": float(sets.sum(axis=1).mean()),
        "abstention": {
            "risk": RISK,
            "answered": float(answered.mean()),
            "wrong": float((ours.posterior.argmax(axis=1) != test.labels)[answered].mean()) if answered.any() else None,
        },
        "aurc": {
            "Bayescope": risk_coverage(ours.posterior, test.labels).area,
            "ResNet-18": risk_coverage(probability, test.labels).area,
        },
        "counterfactuals": counterfactuals(case, chosen),
    }


def main() -> None:
    for case in cases(parser(__doc__).parse_args()):
        keep(RESULTS / "trust" / f"{case.name}-{case.seed}.json", lambda c=case: measure(c))


if __name__ == "__main__":
    main()
