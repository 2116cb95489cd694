"""What a step minimises, term by term, of images of which some lose their class."""

import pytest
import torch
from torch import Tensor

from bayescope.config import Config, TrainingConfig, parse_config
from bayescope.data.dataset import Dataset
from bayescope.data.pixel_scale import PixelScale
from bayescope.diffusion.device import open_fabric
from bayescope.training.batches import Batch, StepBatches
from bayescope.training.loop import start
from bayescope.training.losses import Losses
from bayescope.training.sampler import seeded
from bayescope.training.state import TrainingState
from bayescope.training.step_loss import StepLoss

WEIGHTS = {"evidence_weight": 0.3, "generative_weight": 0.7, "label_dropout": 0.25}


@pytest.fixture(scope="module")
def state(tiny_data: Dataset, tiny_config: Config) -> TrainingState:
    """Weights off their start, where every class would be denoised alike."""
    found = start(tiny_config, tiny_data.train, PixelScale.of(tiny_data.train.pixels), open_fabric(tiny_config))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in (*found.denoiser.parameters(), *found.temperature.parameters()):
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return found


@pytest.fixture(scope="module")
def settings(tiny_config: Config) -> TrainingConfig:
    return parse_config(tiny_config.model_dump() | {"training": tiny_config.training.model_dump() | WEIGHTS}).training


def batch(tiny_data: Dataset, settings: TrainingConfig, first: int, n: int) -> Batch:
    images = tiny_data.train
    x = torch.from_numpy(PixelScale.of(images.pixels).to_model(images.pixels[first : first + n]))
    drawn = Batch.draw(x, torch.from_numpy(images.labels[first : first + n]), settings, seeded(0, first))
    dropped = torch.arange(n) % 4 == 1
    return drawn._replace(dropped=dropped, dropped_rows=drawn.rows.among(dropped))


def step_loss(state: TrainingState, settings: TrainingConfig, batches: StepBatches) -> tuple[Losses, Tensor]:
    found = StepLoss(state.denoiser, state.temperature, settings)(lambda: batches)
    return found.losses, found.minimised


def denoising(state: TrainingState, of: Batch, label: Tensor) -> Tensor:
    """Weighted squared error of each image."""
    error = (of.x - state.denoiser(of.z, of.sigma, label)).square().sum(dim=(1, 2, 3))
    return error * state.denoiser.loss_weight(of.sigma)


def evidence(state: TrainingState, of: Batch) -> Tensor:
    """Cross-entropy of each image, classes denoised one by one."""
    each = [(of.x - state.denoiser(of.z, of.sigma, torch.full_like(of.label, k))).square().sum(dim=(1, 2, 3)) for k in (0, 1)]
    logits = -torch.stack(each, dim=1) / of.sigma[:, None] ** 2 * state.temperature(of.sigma)[:, None]
    return logits.logsumexp(dim=1) - logits[torch.arange(len(of.x)), of.label]


def check(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_dropped_images_are_shown_without_class_too_and_count_by_their_share(
    state: TrainingState, tiny_data: Dataset, settings: TrainingConfig
) -> None:
    main = batch(tiny_data, settings, 0, 8)
    told, loss = step_loss(state, settings, StepBatches(main, teaches_evidence=True))
    check(told.denoising, denoising(state, main, main.label).mean())
    check(told.evidence, evidence(state, main).mean())
    without = denoising(state, main, torch.full_like(main.label, 2))[main.dropped].sum() / 8
    check(loss, told.denoising + 0.3 * told.evidence + without)


def test_before_the_evidence_loss_dropped_images_have_no_class(
    state: TrainingState, tiny_data: Dataset, settings: TrainingConfig
) -> None:
    main = batch(tiny_data, settings, 0, 8)
    told, loss = step_loss(state, settings, StepBatches(main))
    check(loss, denoising(state, main, torch.where(main.dropped, 2, main.label)).mean())
    check(loss, told.denoising)
    assert told.evidence.isnan()


def test_the_evidence_loss_may_have_levels_of_its_own(
    state: TrainingState, tiny_data: Dataset, settings: TrainingConfig
) -> None:
    main, other = batch(tiny_data, settings, 0, 8), batch(tiny_data, settings, 20, 8)
    told, loss = step_loss(state, settings, StepBatches(main, True, other))
    check(told.evidence, evidence(state, other).mean())
    check(loss, denoising(state, main, torch.where(main.dropped, 2, main.label)).mean() + 0.3 * told.evidence)


def test_images_without_labels_count_by_the_generative_weight(
    state: TrainingState, tiny_data: Dataset, settings: TrainingConfig
) -> None:
    main, unlabelled = batch(tiny_data, settings, 0, 8), batch(tiny_data, settings, 20, 4)
    _, plain = step_loss(state, settings, StepBatches(main))
    _, loss = step_loss(state, settings, StepBatches(main, unlabelled=unlabelled))
    check(loss - plain, 0.7 * denoising(state, unlabelled, torch.full_like(unlabelled.label, 2)).mean())


@pytest.mark.parametrize("parts", [2, 3, 8])
def test_parts_of_a_batch_add_up_to_the_whole_in_losses_and_gradients(
    state: TrainingState, tiny_data: Dataset, settings: TrainingConfig, parts: int
) -> None:
    """Of nine images and nine without labels; two of the nine are dropped, so that most parts have none of these."""
    main, unlabelled = batch(tiny_data, settings, 0, 9), batch(tiny_data, settings, 20, 9)
    for batches in (
        StepBatches(main, teaches_evidence=True, unlabelled=unlabelled),
        StepBatches(main, True, batch(tiny_data, settings, 0, 9), unlabelled),
        StepBatches(main),
    ):
        found = []
        for several in ([batches], batches.split(parts)):
            each = [step_loss(state, settings, part) for part in several]
            loss = torch.stack([loss for _, loss in each]).sum()
            gradients = torch.autograd.grad(loss, list(state.denoiser.parameters()))
            told = Losses.sum([losses for losses, _ in each])
            found.append([loss, told.denoising, told.evidence.nan_to_num(-1), *gradients])
        assert [len(part.main.x) for part in batches.split(parts)] == [
            9 * (i + 1) // parts - 9 * i // parts for i in range(parts)
        ]
        for whole, added in zip(*found, strict=True):
            torch.testing.assert_close(added, whole, rtol=1e-4, atol=1e-5)
