"""What is done when training goes wrong: a loss that is not finite, a reconstruction that explodes."""

from __future__ import annotations

from typing import Any, NoReturn

import torch
from torch import Tensor

from activa.module import ACTIVAModule
from activa.train._errors import ExplodedLossError, NonFiniteLossError
from activa.train._game import Game


class Safeguard(Game):
    """Checks of :class:`~activa.train.IntrospectivePlan`, and the last good weights, which it falls back on."""

    module: ACTIVAModule
    trainer: Any
    device: Any
    current_epoch: int
    _sums: Tensor
    _recent: list[list[float]]
    _given_alphas: tuple[float, float]

    def _start_safeguard(self) -> None:
        self.good_epochs = 0  # that the weights to fall back on have been trained for
        self._good_weights: dict[str, Tensor] = {}
        self._l_ae_at_start = 0.0
        self._minibatch: dict[str, Tensor] = {}

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """See to it that the epoch has left sound weights, before a checkpoint of them is written."""
        if not self.trainer.is_last_batch:
            return
        with torch.no_grad():
            self._check_finite(torch.stack([p.sum() for part in self._trainable() for p in part]).sum())
        if self._exploded(l_ae := self._means_of_epoch()[1]):
            self._fall_back(ExplodedLossError, f"L_AE went from {min(self._l_ae_before()):.4g} to {l_ae:.4g} nats")

    def _means_of_epoch(self) -> list[float]:
        """Means of L_REG and L_AE of the epoch's cells so far, the same on every device; empty where there are none."""
        *sums, n_cells = self.trainer.strategy.reduce(self._sums.to(self.device), reduce_op="sum").tolist()
        return [part / n_cells for part in sums] if n_cells else []

    def _l_ae_before(self) -> list[float]:
        """L_AE of the epochs before, or of the first minibatch of all."""
        return [l_ae for _, l_ae in self._recent] or [self._l_ae_at_start]

    def _exploded(self, l_ae: float) -> bool:
        """Whether L_AE, where it is trained, is far above what it was."""
        best = min(self._l_ae_before())
        return self._given_alphas[1] > 0 and l_ae - best > abs(best) + self.module.n_input

    def _keep_if_good(self, l_ae: Tensor) -> None:
        """Keep the weights that an epoch begins with, if its first minibatch says that they are sound."""
        l_ae_ = float(self.trainer.strategy.reduce(l_ae.detach().clone(), reduce_op="mean"))
        if not self._recent:
            self._l_ae_at_start = l_ae_
        if not self._exploded(l_ae_):
            self._keep_weights()

    def _keep_weights(self) -> None:
        self.good_epochs = self.current_epoch
        self._good_weights = {k: v.detach().clone() for k, v in self.module.state_dict().items()}

    def leave_finite_weights(self) -> None:
        """Put the last good weights back if a step has left others that are not finite; for a run that is interrupted."""
        if self._good_weights and not all(torch.isfinite(p).all() for p in self.module.parameters()):
            self.module.load_state_dict(self._good_weights)

    def _check_finite(self, loss: Tensor) -> None:
        if self.trainer.world_size > 1:
            # one device that stops leaves the others waiting for it
            loss = self.trainer.strategy.reduce(loss.detach().clone(), reduce_op="sum")
        if not torch.isfinite(loss):
            self._fall_back(NonFiniteLossError, f"The loss was {float(loss.detach())}")

    def _fall_back(self, error: type[RuntimeError], found: str) -> NoReturn:
        self.module.load_state_dict(self._good_weights)
        weights = f"those after epoch {self.good_epochs}" if self.good_epochs else "what they were before training"
        poisoned = [name for name, values in self._minibatch.items() if not _is_finite(values)]
        raise error(
            f"{found} in epoch {self.current_epoch + 1}. The weights are back to {weights}. "
            + (
                f"The minibatch has values that are not finite in {poisoned}: see what has changed the cells since the model "
                "was made."
                if poisoned
                else "Look for extreme counts, or train with a smaller lr or gradient_clip in plan_kwargs."
            )
        )


def _is_finite(values: Any) -> bool:
    return not isinstance(values, Tensor) or bool(torch.isfinite(values.to_dense()).all())
