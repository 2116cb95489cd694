"""A fair MONAI ResNet-18: affine augmentation, class weights, early stopping on the validation AUC."""

import copy
from collections.abc import Callable

import numpy as np
import torch
from monai.networks.nets import resnet18
from sklearn.metrics import roc_auc_score
from torch.nn import functional as F

from bayescope.data.images import Dataset, PixelScale
from bayescope.training.augment import choose

MAX_EPOCHS, PATIENCE, BATCH, LEARNING_RATE = 40, 8, 64, 1e-3
STEPS_PER_CHECK = 40


def train_resnet18(data: Dataset, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Train on the train split, keep the weights of the best validation AUC; returns pixels -> posterior ``(n, 2)``.

    The 28-px recipe: a 3x3 stem of stride 1 without pooling, AdamW with a cosine over at most 40 passes (at least 1600
    steps where the set is small), checked every pass or 40 steps, stopped after 8 checks without a better AUC.
    """
    torch.manual_seed(seed)
    scale = PixelScale.of(data.train.pixels)
    x, y = torch.from_numpy(scale.to_model(data.train.pixels)), torch.from_numpy(data.train.labels)
    net = resnet18(
        spatial_dims=2, n_input_channels=x.shape[1], num_classes=2, conv1_t_size=3, conv1_t_stride=1, no_max_pool=True
    ).to(memory_format=torch.channels_last)
    weight = len(y) / (2 * torch.bincount(y).float())
    augment = choose("auto", len(y))
    generator = torch.Generator().manual_seed(seed)
    check_every = max(STEPS_PER_CHECK, len(y) // BATCH)
    total = MAX_EPOCHS * check_every
    optimizer = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)

    @torch.inference_mode()
    def predict(pixels: np.ndarray) -> np.ndarray:
        net.eval()
        batches = torch.from_numpy(scale.to_model(pixels)).split(256)
        return torch.cat([net(batch).softmax(dim=1) for batch in batches]).numpy()

    best, kept, bad = -1.0, copy.deepcopy(net.state_dict()), 0
    for step in range(1, total + 1):
        net.train()
        chosen = torch.randint(len(y), (BATCH,), generator=generator)
        batch = augment(x[chosen], generator) if augment else x[chosen]
        loss = F.cross_entropy(net(batch), y[chosen], weight=weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % check_every == 0:
            auc = roc_auc_score(data.val.labels, predict(data.val.pixels)[:, 1])
            best, kept, bad = (auc, copy.deepcopy(net.state_dict()), 0) if auc > best else (best, kept, bad + 1)
            if bad >= PATIENCE:
                break
    net.load_state_dict(kept)
    return predict
