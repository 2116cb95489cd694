"""The stopping rule against one image at a time, written out in plain loops."""

from dataclasses import replace

import numpy as np
import pytest

from bayescope.evidence.plan import LevelStatistics, Plan
from bayescope.evidence.stopping import Trace, risk_curve, simulate
from bayescope.types import Floats, Labels

LEVELS, NOISES, CLASSES, IMAGES = 3, 3, 4, 40
DRAWS = LEVELS * NOISES
OFFSET = np.array([0.3, -0.2, 0.0, 0.1])


@pytest.fixture(scope="module")
def plan() -> Plan:
    rng = np.random.default_rng(0)
    statistics = LevelStatistics(
        offset=rng.normal(size=(CLASSES, LEVELS, NOISES)),
        slope=rng.normal(0.5, 0.2, size=(LEVELS, NOISES)),
        gaussian_scale=2.0,
        scale=np.array([[2.0, 0.8, 0.1], [0.8, 1.5, 0.3], [0.1, 0.3, 1.0]]),
        noise=np.array([0.5, 1.0, 0.7]),
        opposite=np.zeros(LEVELS),
        dof=6.0,
        spread=np.tile([0.8, 0.2], (DRAWS + 1, 1)),
        risk=np.ones((1, 2)),
    )
    return Plan(statistics, np.array([1.0, 0.6, 0.8]))


@pytest.fixture(scope="module")
def gaussian() -> Floats:
    return np.random.default_rng(1).normal(0, 2, (IMAGES, CLASSES))


@pytest.fixture(scope="module")
def values(plan: Plan, gaussian: Floats) -> Floats:
    """Every draw of every image and class, ``(images, classes, levels, noises)``."""
    rng = np.random.default_rng(2)
    signal = rng.multivariate_normal(np.zeros(LEVELS), plan.statistics.scale, (IMAGES, CLASSES)) / np.sqrt(2)
    noise = rng.normal(size=(IMAGES, CLASSES, LEVELS, NOISES)) * np.sqrt(plan.statistics.noise / 2)[:, None]
    about = plan.statistics
    return signal[..., None] + noise + about.offset + about.slope * gaussian[:, :, None, None]


def settled(
    plan: Plan, gaussian: Floats, values: Floats, share: float, max_passes: int | None
) -> tuple[list[int], list[float]]:
    """Draws of each class of one image, and its chance to win when it was dropped."""
    about = plan.statistics
    innovations = np.zeros((CLASSES, DRAWS))
    draws, chances, live = [0] * CLASSES, [0.0] * CLASSES, set(range(CLASSES))
    for m in range(DRAWS + 1):
        if not live:
            break
        score = plan.start(gaussian[None])[0] + OFFSET
        for i in range(m):
            score = score + innovations[:, i] * plan.innovation_weights[i]
        ranked = sorted(live, key=lambda c: -score[c])
        leader, kept = ranked[0], set()
        for place, c in enumerate(ranked):
            size = ((innovations[leader, :m] - innovations[c, :m]) ** 2).sum() + ((gaussian[leader] - gaussian[c]) / 2) ** 2
            gap = np.array([score[leader] - score[c]])
            chance = 0.0 if c == leader else float(plan.chance_to_win(m, gap, np.array([size]))[0])
            chances[c] = chance
            fewest = 1 if m >= 3 else 2
            if place < fewest or (m < DRAWS if share == 0 else chance > share):
                kept.add(c)
        if max_passes is not None:
            kept = set([c for c in ranked if c in kept][: max_passes - sum(draws)])
        live = kept if len(kept) > 1 and m < DRAWS else set()
        level, noise = plan.order[m : m + 1], plan.noise_index[m : m + 1]
        for c in live:
            expected = about.offset[c, level[0], noise[0]] + about.slope[level[0], noise[0]] * gaussian[c]
            found = np.array([values[c, level[0], noise[0]] - expected])
            innovations[c, m] = plan.innovation(m, found, innovations[None, c, :m])[0]
            draws[c] += 1
    return draws, chances


def known(values: Floats) -> object:
    return lambda level, j, image, label: values[image, label, level, j]


@pytest.mark.parametrize("max_passes", [None, 4, 7, 13])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.2])
def test_every_image_is_settled_as_if_it_were_alone(
    plan: Plan, gaussian: Floats, values: Floats, share: float, max_passes: int | None
) -> None:
    found = simulate(plan, gaussian, known(values), OFFSET, share, max_passes)
    expected = [settled(plan, g, v, share, max_passes) for g, v in zip(gaussian, values, strict=True)]
    assert found.draws.tolist() == [draws for draws, _ in expected]
    np.testing.assert_allclose(found.chance, [chances for _, chances in expected], atol=1e-12)
    if max_passes is not None:
        assert found.draws.sum(axis=1).max() <= max_passes


def test_each_round_says_how_many_images_it_decided(plan: Plan, gaussian: Floats, values: Floats) -> None:
    decided: list[int] = []
    found = simulate(plan, gaussian, known(values), OFFSET, 0.05, None, decided.append)
    rounds = found.draws.max(axis=1)
    assert decided == [int((rounds == m).sum()) for m in range(len(decided))]
    assert sum(decided) == IMAGES


def test_classes_are_compared_at_the_draws_both_were_given(plan: Plan) -> None:
    """A class dropped early is judged by the leader's first draws, and not by what the leader gathered later."""
    rng = np.random.default_rng(3)
    innovations, draws = rng.normal(size=(1, CLASSES, DRAWS)), np.array([[9, 2, 0, 5]])
    innovations[0][np.arange(DRAWS) >= draws[0][:, None]] = 0
    gaussian = rng.normal(size=(1, CLASSES))
    found = Trace(gaussian, innovations, draws, np.zeros((1, CLASSES))).values(plan)[0]
    terms, start = innovations[0] * plan.innovation_weights, plan.start(gaussian)[0]
    for c, given in enumerate(draws[0]):
        assert found[0] - found[c] == pytest.approx(start[0] - start[c] + (terms[0] - terms[c])[:given].sum())


def test_the_risk_is_the_predicted_one_scaled_to_the_errors_counted(plan: Plan, gaussian: Floats, values: Floats) -> None:
    shares, weight = np.array([0.001, 0.02, 0.2, 0.4]), np.linspace(0.5, 1.5, IMAGES)
    winner: Labels = ((values.mean(axis=3) @ plan.weights) + OFFSET).argmax(axis=1)
    predicted, counted = [], []
    for share in shares:
        trace = simulate(plan, gaussian, known(values), OFFSET, share)
        predicted.append(sum(weight[i] * trace.chance[i].sum() for i in range(IMAGES)))
        counted.append(sum(weight[i] for i in range(IMAGES) if (trace.values(plan)[i] + OFFSET).argmax() != winner[i]))
    assert counted[-1] > 0
    height = (5 + np.mean(counted)) / (5 + np.mean(predicted))
    found = risk_curve(plan, gaussian, values, OFFSET, winner, weight, shares)
    np.testing.assert_allclose(found, np.maximum.accumulate(np.array(predicted) * height / IMAGES))
    assert (np.diff(found) >= 0).all()


def test_in_full_every_class_is_given_every_draw(plan: Plan, gaussian: Floats, values: Floats) -> None:
    found = simulate(plan, gaussian, known(values), OFFSET, 0.0)
    assert (found.draws == DRAWS).all()
    full = values.mean(axis=3) @ plan.weights
    np.testing.assert_allclose(found.values(plan) - found.values(plan)[:, :1], full - full[:, :1], atol=1e-6)
    certain = replace(plan.statistics, spread=np.zeros((DRAWS + 1, 2)))
    few = simulate(Plan(certain, plan.weights), gaussian, known(values), OFFSET, 0.1)
    assert sorted(set(few.draws.ravel().tolist())) == [0, 3], "three draws of the two classes ahead, none of the others"
