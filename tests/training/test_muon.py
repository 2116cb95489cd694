"""Muon against singular values, against a step by hand, and against torch's own."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bayescope.training.muon import Muon, orthogonalized

_ROOTS = (0.6, 0.8)


def newton_schulz(singular_value: float) -> float:
    """What five steps make of one singular value."""
    s = singular_value
    for _ in range(5):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return s


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 40), seed=st.integers(0, 1000), size=st.floats(1e-3, 1e3))
def test_random_matrices_become_nearly_orthogonal(rows: int, columns: int, seed: int, size: float) -> None:
    """Singular values that are not tiny beside the others: a square random matrix may have one of any size."""
    matrix = size * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))
    before, after = (torch.linalg.svdvals(m) for m in (matrix, orthogonalized(matrix)))
    large = before / before.square().sum().sqrt() > 0.02
    assert after[large].min() > 0.67
    assert after.max() < 1.21


def test_singular_values_follow_the_polynomial_and_vectors_stay() -> None:
    turn, other = (torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(k)))[0] for k in (1, 2))
    matrix = turn[:, :2] @ torch.diag(torch.tensor([3.0, 4.0])) @ other[:2]
    expected = turn[:, :2] @ torch.diag(torch.tensor([newton_schulz(root) for root in _ROOTS])) @ other[:2]
    torch.testing.assert_close(orthogonalized(matrix), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(orthogonalized(matrix.T), expected.T, atol=1e-5, rtol=1e-4)


def test_a_matrix_of_zeros_stays() -> None:
    assert torch.equal(orthogonalized(torch.zeros(3, 4)), torch.zeros(3, 4))


def test_two_steps_by_hand() -> None:
    """Gradients diag(3, 4) and diag(0, 1); one decay of weights, and the longer side 4 scales by 0.2 √4."""
    weight = torch.nn.Parameter(torch.ones(2, 2, 2, 1))
    optimizer = Muon([weight], lr=0.1, momentum=0.9, weight_decay=0.5)
    expected = torch.ones(2, 4)
    average = torch.zeros(2)
    for gradient in (torch.tensor([3.0, 4.0]), torch.tensor([0.0, 1.0])):
        weight.grad = torch.zeros(2, 2, 2, 1)
        weight.grad.view(2, 4)[[0, 1], [0, 1]] = gradient
        optimizer.step()
        average = 0.9 * average + 0.1 * gradient
        nesterov = 0.1 * gradient + 0.9 * average
        share = nesterov / nesterov.norm()
        expected = expected * (1 - 0.1 * 0.5)
        expected[[0, 1], [0, 1]] -= 0.1 * 0.2 * 2 * torch.tensor([newton_schulz(s) for s in share.tolist()])
        torch.testing.assert_close(weight.detach().view(2, 4), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch below 2.9")
def test_it_agrees_with_torch_s_own_up_to_the_precision_of_bfloat16() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 10, generator=generator)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizers = [
        Muon([ours], lr=0.02, weight_decay=0.1),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ]
    for _ in range(3):
        gradient = torch.randn(6, 10, generator=generator)
        for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    moved = (ours - start).norm()
    assert (ours - theirs).norm() < 0.02 * moved


def test_filters_of_any_memory_format_are_moved_alike() -> None:
    gradient = torch.randn(4, 3, 3, 3)
    weights = [torch.nn.Parameter(torch.zeros(4, 3, 3, 3)) for _ in range(2)]
    weights[1].data = weights[1].data.to(memory_format=torch.channels_last)
    for weight in weights:
        weight.grad = gradient.clone().to(memory_format=torch.preserve_format)
        Muon([weight]).step()
    torch.testing.assert_close(weights[0], weights[1])
    assert weights[0].detach().flatten(1).norm() == pytest.approx(0.02 * 0.2 * math.sqrt(27) * 2, rel=0.2)
