"""The loss that a step minimises: denoising, evidence, and p(x) where images lost their class or have none."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from bayescope.config import TrainingConfig
from bayescope.diffusion.denoiser import Denoiser
from bayescope.diffusion.nets.dropout import images_of
from bayescope.training.batches import Batch, StepBatches
from bayescope.training.losses import Losses, Temperature, generative_loss, joint_loss, loss_weight


class Contribution(NamedTuple):
    """What the images of one part of a batch add to the losses that are reported, and to the one that is minimised."""

    losses: Losses
    minimised: Tensor


class StepLoss(nn.Module):
    """The denoiser and the temperature with the loss that trains both: one module, for processes to share."""

    def __init__(self, denoiser: Denoiser, temperature: Temperature, settings: TrainingConfig) -> None:
        super().__init__()
        self.denoiser, self.temperature, self._settings = denoiser, temperature, settings
        self._weight = loss_weight(settings)

    def forward(self, given: Callable[[], StepBatches]) -> Contribution:
        """Of the batches ``given`` by a function: tensors that Fabric sees are rounded to bfloat16 in mixed precision."""
        batches, settings = given(), self._settings
        main = batches.main
        if batches.teaches_evidence and batches.evidence is None:
            losses = self._joint(main)
            loss = losses.denoising + settings.evidence_weight * losses.evidence
            if main.dropped_rows.total:
                loss = loss + main.dropped_rows.total / main.rows.total * self._of_dropped(main)
        else:
            losses = self._generative(main, torch.where(main.dropped, self.denoiser.n_classes, main.label))
            loss = losses.denoising
            if batches.evidence is not None:
                losses = Losses(losses.denoising, self._joint(batches.evidence).evidence)
                loss = loss + settings.evidence_weight * losses.evidence
        if batches.unlabelled is not None:
            loss = loss + settings.generative_weight * self._without_class(batches.unlabelled)
        return Contribution(Losses(losses.denoising.detach(), losses.evidence.detach()), loss)

    def _joint(self, batch: Batch) -> Losses:
        with images_of(batch.rows):
            images = batch.x, batch.z, batch.sigma, batch.label
            return joint_loss(self.denoiser, self.temperature, *images, self._weight, batch.rows.total)

    def _generative(self, batch: Batch, label: Tensor) -> Losses:
        with images_of(batch.rows):
            return generative_loss(self.denoiser, batch.x, batch.z, batch.sigma, label, self._weight, batch.rows.total)

    def _without_class(self, batch: Batch) -> Tensor:
        return self._generative(batch, torch.full_like(batch.label, self.denoiser.n_classes)).denoising

    def _of_dropped(self, batch: Batch) -> Tensor:
        """Where none is dropped here, of one image and for nothing: dropout draws in every process alike."""
        if batch.dropped_rows.size:
            return self._without_class(batch.only_dropped())
        stand_in = batch.part(0, batch.rows.size)
        return 0 * self._without_class(stand_in._replace(rows=batch.dropped_rows._replace(first=0, size=1)))
