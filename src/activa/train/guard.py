"""The guard of a training run: it finds losses that go wrong, and keeps the last good weights to fall back on."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor, nn


class NonFiniteLossError(RuntimeError):
    """A loss was infinite or not a number."""


class ExplodedLossError(RuntimeError):
    """The reconstruction of the cells became far worse than it had been."""


class Guard:
    """Checks of losses, which raise an error after putting back the last good weights.

    Good weights are those of the last epoch that began with a sound ``L_AE``. ``L_AE`` explodes if it exceeds the lowest of
    the last five epochs by more than that value and one nat per gene, unless it is not trained.
    """

    def __init__(self, module: nn.Module, n_genes: int, *, trains_reconstruction: bool = True):
        self.module, self.n_genes, self.trains_reconstruction = module, n_genes, trains_reconstruction
        self.epoch, self.good_epochs = 0, 0  # the current one, and those that the good weights were trained for
        self.minibatch: dict[str, Tensor] = {}  # of the current step, for the message of an error
        self._weights: dict[str, Tensor] = {}
        self._l_ae: list[float] = []

    def begin_epoch(self, epoch: int, l_ae: list[float]) -> None:
        """Begin an epoch; ``l_ae`` are the mean ``L_AE`` of up to five epochs before it."""
        self.epoch = epoch
        if l_ae:
            self._l_ae = l_ae
        if not self._weights:
            self._keep_weights()

    def check_first_minibatch(self, l_ae: float) -> None:
        """Keep the weights that an epoch begins with if the ``L_AE`` of its first minibatch is sound."""
        if not self._l_ae:
            self._l_ae = [l_ae]
        if not self._exploded(l_ae):
            self._keep_weights()

    def check_finite(self, loss: Tensor) -> None:
        """Raise a NonFiniteLossError if a scalar is not finite."""
        if not torch.isfinite(loss):
            self._fall_back(NonFiniteLossError, f"The loss was {float(loss.detach())}")

    def check_epoch(self, l_ae: float) -> None:
        """Raise an ExplodedLossError if an epoch's mean ``L_AE`` is far above that of the epochs before."""
        if self._exploded(l_ae):
            self._fall_back(ExplodedLossError, f"L_AE went from {min(self._l_ae):.4g} to {l_ae:.4g} nats")

    def leave_finite_weights(self) -> None:
        """Put back the good weights if the last step left others that are not finite."""
        if self._weights and not all(torch.isfinite(p).all() for p in self.module.parameters()):
            self.module.load_state_dict(self._weights)

    def _exploded(self, l_ae: float) -> bool:
        best = min(self._l_ae)
        return self.trains_reconstruction and l_ae - best > abs(best) + self.n_genes

    def _keep_weights(self) -> None:
        self.good_epochs = self.epoch
        self._weights = {name: value.detach().clone() for name, value in self.module.state_dict().items()}

    def _fall_back(self, error: type[RuntimeError], found: str) -> NoReturn:
        self.module.load_state_dict(self._weights)
        weights = f"those after epoch {self.good_epochs}" if self.good_epochs else "what they were before training"
        poisoned = [name for name, values in self.minibatch.items() if not _is_finite(values)]
        advice = "Look for extreme counts, or train with a smaller lr or gradient_clip in plan_kwargs."
        if poisoned:
            advice = (
                f"The minibatch has values that are not finite in {poisoned}: find what changed the cells after the model "
                "was made."
            )
        raise error(f"{found} in epoch {self.epoch + 1}. The weights are back to {weights}. {advice}")


def _is_finite(values: Any) -> bool:
    return not isinstance(values, Tensor) or bool(torch.isfinite(values.to_dense()).all())
