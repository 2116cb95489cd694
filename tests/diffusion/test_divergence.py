import pytest
import torch

from bayescope.diffusion.divergence import ExactDivergence, Hutchinson, gaussian_probes, rademacher_probes
from bayescope.errors import ConfigError

SHAPE = (1, 5, 7)
MATRIX = torch.randn(35, 35, generator=torch.Generator().manual_seed(1))


def curved(z):
    """J = M + diag(3 z²)."""
    return (z.flatten(1) @ MATRIX.T + z.flatten(1) ** 3).reshape(z.shape)


def images():
    return torch.randn(2, *SHAPE, generator=torch.Generator().manual_seed(2))


def true_trace(z):
    return MATRIX.trace() + 3 * z.square().sum(dim=(1, 2, 3))


def test_exact_trace_and_value():
    z = images()
    found = ExactDivergence()(curved, z)
    torch.testing.assert_close(found.traces, true_trace(z)[:, None])
    torch.testing.assert_close(found.value, curved(z))
    assert found.passes == 1 + 2 * 35
    assert not found.value.requires_grad
    assert not z.requires_grad


@pytest.mark.parametrize("draw", [rademacher_probes, gaussian_probes])
def test_each_probe_gives_its_quadratic_form(draw):
    z, probes = images(), draw(3, SHAPE, torch.Generator().manual_seed(3))
    found = Hutchinson(probes)(curved, z)
    for i in range(2):
        jacobian = MATRIX + torch.diag(3 * z[i].flatten().square())
        for k in range(3):
            v = probes[k].flatten()
            torch.testing.assert_close(found.traces[i, k], v @ jacobian @ v, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.value, curved(z))
    assert found.passes == 1 + 2 * 3


def test_rows_with_probes_of_their_own():
    z, probes = images(), gaussian_probes(3 * 4, SHAPE, torch.Generator().manual_seed(8)).unflatten(0, (3, 4))
    found = Hutchinson(probes)(curved, z, torch.tensor([3, 1]))
    for i, row in enumerate((3, 1)):
        alone = Hutchinson(probes[:, row])(curved, z[i : i + 1])
        torch.testing.assert_close(found.traces[i], alone.traces[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("draw", [rademacher_probes, gaussian_probes])
def test_probes_estimate_without_bias(draw):
    z = images()
    traces = Hutchinson(draw(2000, SHAPE, torch.Generator().manual_seed(4)))(curved, z).traces
    error = traces.std(dim=1) / 2000**0.5
    assert ((traces.mean(dim=1) - true_trace(z)).abs() < 4 * error).all()


def test_rademacher_probes_know_a_diagonal_jacobian_exactly():
    z = images()
    traces = Hutchinson(rademacher_probes(1, SHAPE, torch.Generator().manual_seed(5)))(lambda z: z**3, z).traces
    torch.testing.assert_close(traces[:, 0], 3 * z.square().sum(dim=(1, 2, 3)))


def test_probes_are_reproducible_and_of_unit_variance():
    for draw in (rademacher_probes, gaussian_probes):
        first, second = (draw(400, SHAPE, torch.Generator().manual_seed(6)) for _ in range(2))
        assert torch.equal(first, second)
        assert first.shape == (400, *SHAPE)
        assert first.mean().abs() < 0.05
        assert first.var().item() == pytest.approx(1, abs=0.05)
    assert rademacher_probes(4, SHAPE, torch.Generator().manual_seed(6)).unique().tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    "method",
    [ExactDivergence(), Hutchinson(rademacher_probes(2, SHAPE, torch.Generator().manual_seed(7)))],
    ids=["exact", "probes"],
)
def test_methods_on_their_own(method):
    z = images()
    # An image's answer does not depend on its batch-mates.
    torch.testing.assert_close(method(curved, z).traces[:1], method(curved, z[:1]).traces)
    assert method(curved, z).traces.shape == (2, method.estimates)
    # It works where gradients are off, and for functions that have none.
    with torch.inference_mode():
        torch.testing.assert_close(method(curved, z.clone()).traces, method(curved, z).traces)
    assert method(lambda z: torch.ones_like(z), z).traces.tolist() == [[0.0] * method.estimates] * 2


def test_no_probes_and_probes_of_another_shape_are_refused():
    with pytest.raises(ConfigError, match="probes of shape"):
        Hutchinson(torch.zeros(0, *SHAPE))
    with pytest.raises(ConfigError, match="for images of"):
        Hutchinson(torch.ones(1, 1, 7, 5))(curved, images())
