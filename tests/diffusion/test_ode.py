import math

import pytest
import torch
import torchdiffeq

from bayescope.diffusion.ode import DORMAND_PRINCE, DormandPrince, FixedGrid, heun, rk4
from bayescope.errors import ConfigError

RATE = torch.tensor([[0.3], [1.0], [2.5]], dtype=torch.float64)
START = torch.tensor([[1.0, -0.5], [0.2, 0.1], [-0.7, 0.4]], dtype=torch.float64)


def pendulum(s, y, rows):
    """Non-linear and time-dependent, of a different rate in each row."""
    angle, speed = y.unbind(dim=1)
    return RATE[rows] * torch.stack([speed, -angle.sin() + 0.3 * s.cos()], dim=1)


@pytest.fixture(scope="module")
def truth():
    rows = torch.arange(3)
    return torchdiffeq.odeint(
        lambda s, y: pendulum(s.expand(3), y, rows), START, torch.tensor([0.0, 2.0]).double(), rtol=1e-11, atol=1e-11
    )[-1]


@pytest.mark.parametrize(
    ("solver", "order", "cost"), [(heun, 2, 2), (rk4, 4, 4), (FixedGrid(DORMAND_PRINCE), 5, 7)], ids=["heun", "rk4", "dp"]
)
def test_measured_order_of_the_steppers(solver, order, cost, truth):
    errors = []
    for steps in (40, 80):
        solution = solver(pendulum, START, torch.linspace(0, 2, steps + 1))
        errors.append((solution.state - truth).abs().max().item())
        assert solution.evaluations.tolist() == [steps * cost] * 3
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.4)


def test_a_given_grid_is_walked_as_given():
    # Heun is exact for a slope linear in s, and by hand on one uneven step for dy/ds = y.
    grid = torch.tensor([0.0, 0.1, 1.0]).double()
    assert heun(lambda s, y, rows: s[:, None], torch.zeros(1, 1), grid).state.item() == pytest.approx(0.5)
    by_hand = (1 + 0.1 + 0.1**2 / 2) * (1 + 0.9 + 0.9**2 / 2)
    assert heun(lambda s, y, rows: y, torch.ones(1, 1), grid).state.item() == pytest.approx(by_hand)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_adaptive_error_follows_the_tolerance(tolerance, truth):
    solution = DormandPrince(tolerance)(pendulum, START, torch.tensor([0.0, 2.0]))
    assert (solution.state - truth).abs().max() < 20 * tolerance


def test_adaptive_spends_like_torchdiffeq(truth):
    counted = 0

    def count(s, y):
        nonlocal counted
        counted += 1
        return pendulum(s[None], y, torch.tensor([2]))

    torchdiffeq.odeint(count, START[2:], torch.tensor([0.0, 2.0]).double(), rtol=1e-6, atol=1e-6, method="dopri5")
    solution = DormandPrince(1e-6)(pendulum, START, torch.tensor([0.0, 2.0]))
    assert 0.6 * counted < solution.evaluations[2] < 1.6 * counted
    assert solution.evaluations[0] < 0.8 * solution.evaluations[2]  # the slow row needs fewer


def test_adaptive_counts_every_evaluation_of_every_row():
    counted = torch.zeros(3, dtype=torch.int64)

    def field(s, y, rows):
        counted[rows] += 1
        return pendulum(s, y, rows)

    assert torch.equal(DormandPrince(1e-5)(field, START, torch.tensor([0.0, 2.0])).evaluations, counted)


def test_adaptive_runs_backwards(truth):
    there = DormandPrince(1e-9)(pendulum, START, torch.tensor([0.0, 2.0])).state
    back = DormandPrince(1e-9)(pendulum, there, torch.tensor([2.0, 0.0])).state
    torch.testing.assert_close(back, START, atol=1e-7, rtol=0)


def test_a_row_does_not_depend_on_its_batch_mates():
    together = DormandPrince(1e-4)(pendulum, START, torch.tensor([0.0, 2.0]))
    for i in range(3):
        alone = DormandPrince(1e-4)(
            lambda s, y, rows, i=i: pendulum(s, y, rows + i), START[i : i + 1], torch.tensor([0.0, 2.0])
        )
        torch.testing.assert_close(alone.state, together.state[i : i + 1], rtol=0, atol=1e-14)
        assert alone.evaluations.tolist() == together.evaluations[i : i + 1].tolist()


def test_a_row_that_fails_is_nan_and_leaves_the_others_alone():
    ill = START.clone()
    ill[1, 0] = torch.nan
    solution = DormandPrince(1e-4)(pendulum, ill, torch.tensor([0.0, 2.0]))
    well = DormandPrince(1e-4)(pendulum, START, torch.tensor([0.0, 2.0]))
    assert solution.state[1].isnan().all()
    assert solution.evaluations[1] < 10
    torch.testing.assert_close(solution.state[[0, 2]], well.state[[0, 2]], rtol=0, atol=1e-14)


def test_a_row_that_blows_up_ends():
    explosion = DormandPrince(1e-4, max_steps=300)(
        lambda s, y, rows: y.square(), torch.tensor([[1.0], [0.1]]), torch.tensor([0.0, 2.0])
    )
    assert explosion.state[0].isnan().all()
    assert explosion.state[1].item() == pytest.approx(0.1 / 0.8, abs=1e-4)


def test_the_caller_s_state_is_left_alone():
    start = START.clone()
    DormandPrince(1e-4)(pendulum, start, torch.tensor([0.0, 2.0]))
    assert torch.equal(start, START)


@pytest.mark.parametrize("tolerance", [0.0, -1e-3, 1.0, math.nan])
def test_a_bad_tolerance_is_refused(tolerance):
    with pytest.raises(ConfigError, match="tolerance"):
        DormandPrince(tolerance)


@pytest.mark.parametrize("solver", [heun, rk4, DormandPrince()], ids=["heun", "rk4", "dp"])
@pytest.mark.parametrize("grid", [[], [1.0], [0.0, 0.0], [0.0, 2.0, 1.0], [0.0, math.nan]], ids=str)
def test_a_grid_out_of_order_is_refused(solver, grid):
    with pytest.raises(ConfigError, match="strictly"):
        solver(pendulum, START, torch.tensor(grid))


def test_a_bounded_step_does_not_jump_over_what_is_narrow():
    def bump(s, y, rows):  # of area 1, amid nothing
        return torch.exp(-0.5 * ((s - 7) / 0.2) ** 2)[:, None] / (0.2 * math.sqrt(2 * math.pi))

    ends = torch.tensor([0.0, 10.0])
    assert DormandPrince(1e-4)(bump, torch.zeros(1, 1), ends).state.item() == pytest.approx(0, abs=1e-3)
    assert DormandPrince(1e-4, max_step=0.4)(bump, torch.zeros(1, 1), ends).state.item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("setting", [{"max_steps": 0}, {"max_step": 0.0}, {"max_step": math.nan}], ids=str)
def test_impossible_bounds_are_refused(setting):
    with pytest.raises(ConfigError, match="max_step"):
        DormandPrince(**setting)
