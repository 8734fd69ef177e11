"""Running a training plan so that an interrupt, or a loss gone wrong, leaves a usable model."""

from __future__ import annotations

import signal
import threading
import warnings
from typing import Any

from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from scvi.train import TrainRunner

from activa.train._checkpoints import WholeCheckpointIO


class InterruptibleTrainRunner(TrainRunner):
    """scvi-tools' runner, but that an interrupt ends training and not the process, and checkpoints are whole or not there."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        strategy = self.trainer.strategy
        if type(strategy.checkpoint_io) is TorchCheckpointIO:  # and none that the user chose
            strategy.checkpoint_io = WholeCheckpointIO()

    def _run_training_core(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGINT) if in_main_thread else None
        interrupted = False
        try:
            self.trainer.fit(self.training_plan, self.data_splitter, ckpt_path=self.ckpt_path)
        except SIGTERMException as error:
            # whoever asked the process to end does not wait for the rest of it; Lightning's exit code would be 0
            raise SystemExit(128 + signal.SIGTERM) from error
        except (KeyboardInterrupt, SystemExit):
            # Lightning turns an interrupt into SystemExit, and ignores further ones for good
            interrupted = True
            self.training_plan.leave_finite_weights()
        except Exception:
            if self.training_plan.good_epochs > 0:
                self._finish()
            raise
        finally:
            if handler is not None:
                signal.signal(signal.SIGINT, handler)
        # where the checkpoint was of the last epoch the prior's fit is all that is left to do
        self.training_plan.take_up_random_state()
        epoch = self.trainer.current_epoch
        self._finish()
        if interrupted:
            warnings.warn(
                f"Training was interrupted after {epoch} of {self.trainer.max_epochs} epochs. The model keeps its weights "
                "and can be used; give checkpoint_dir to train() for a run that can be gone on with.",
                UserWarning,
                stacklevel=5,
            )

    def _finish(self) -> None:
        self._update_history()
        self.model.train_indices = getattr(self.data_splitter, "train_idx", None)
        self.model.test_indices = getattr(self.data_splitter, "test_idx", None)
        self.model.validation_indices = getattr(self.data_splitter, "val_idx", None)
        self.model.module.eval()
        self.model.is_trained_ = True
        self.model.to_device(self.device)
        self.model.trainer = self.trainer
