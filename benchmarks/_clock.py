"""How long training takes."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch.callbacks import Callback


class Clock(Callback):
    """Seconds of each epoch, also of a run that was cut off and gone on with: checkpoints keep them."""

    def __init__(self):
        self.seconds: list[float] = []

    def on_train_epoch_start(self, *_) -> None:
        """Start."""
        self._start = time.perf_counter()

    def on_train_epoch_end(self, *_) -> None:
        """Stop."""
        self.seconds.append(time.perf_counter() - self._start)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.seconds = state_dict["seconds"]
