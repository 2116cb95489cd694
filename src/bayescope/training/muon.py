"""Muon: momentum with orthogonalised updates, for the matrices and filters inside a network.

Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks" (kellerjordan.github.io/posts/muon); scaling by
the longer side after Liu et al. 2025 (arXiv 2502.16982), which gives updates the size of AdamW's.  torch has one since
2.9, of matrices alone and in bfloat16, which is slow on most CPUs; this one takes filters as they are, in their own precision.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_STEPS = 5
_RMS = 0.2
_SMALLEST_NORM = 1e-7


def orthogonalized(matrix: Tensor) -> Tensor:
    """The nearest matrix with orthonormal rows or columns, roughly: singular values brought to between about 0.7 and 1.2.

    ``matrix (rows, columns)``; five steps of a Newton-Schulz iteration of degree five.  Zero stays zero.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp_min(_SMALLEST_NORM)
    a, b, c = _COEFFICIENTS
    for _ in range(_STEPS):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.T if is_tall else x


class Muon(torch.optim.Optimizer):
    """Nesterov momentum, orthogonalized, times 0.2 √(longer side), with decoupled weight decay.

    Parameters have two dimensions or more; all after the first count as one, so a filter bank ``(out, in, height, width)`` is
    a matrix of ``out`` rows.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    update = self._orthogonal_update(parameter, group["momentum"])
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update, alpha=-group["lr"])
        return loss

    def _orthogonal_update(self, parameter: Tensor, momentum: float) -> Tensor:
        gradient, slots = parameter.grad, self.state[parameter]
        assert gradient is not None
        if "momentum" not in slots:
            slots["momentum"] = torch.zeros_like(parameter)
        average = slots["momentum"].lerp_(gradient, 1 - momentum)
        matrix = gradient.lerp(average, momentum).flatten(1)
        return orthogonalized(matrix).mul_(_RMS * math.sqrt(max(matrix.shape))).view(parameter.shape)
