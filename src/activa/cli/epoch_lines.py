"""Training told in lines, for logs."""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Any

from lightning.pytorch import Callback

_LINES = 10


class EpochLines(Callback):
    """Tell on stderr what is trained, and then about ten times the loss and the time since the beginning."""

    def __init__(self, shape: tuple[int, int], n_types: int):
        self.cells = f"{shape[0]} cells x {shape[1]} genes, {n_types} type{'s' * (n_types != 1)}"
        self.start = perf_counter()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Tell how many cells, genes, types and epochs, and where."""
        self._tell(f"{self.cells}, {trainer.max_epochs} epochs, on {trainer.strategy.root_device}")

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Tell the loss, after every tenth of the epochs."""
        done, of = trainer.current_epoch + 1, trainer.max_epochs
        if done * _LINES // of > (done - 1) * _LINES // of:
            loss = trainer.callback_metrics.get("train_loss", float("nan"))
            self._tell(f"epoch {done} of {of}, loss {float(loss):.4g}, {perf_counter() - self.start:.0f} s")

    def _tell(self, line: str) -> None:
        print(f"activa: {line}", file=sys.stderr, flush=True)
