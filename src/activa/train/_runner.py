"""Running a training plan so that an interrupt, or a loss gone wrong, leaves a usable model."""

from __future__ import annotations

import os
import signal
import threading
import warnings

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from scvi.train import TrainRunner

from activa.train._game import NonFiniteLossError


class InterruptibleTrainRunner(TrainRunner):
    """scvi-tools' runner, but that an interrupt ends training and not the process."""

    def _run_training_core(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGINT) if in_main_thread else None
        interrupted = False
        try:
            self.trainer.fit(self.training_plan, self.data_splitter, ckpt_path=self.ckpt_path)
        except (KeyboardInterrupt, SystemExit):
            # Lightning turns an interrupt into SystemExit, and ignores further ones for good
            interrupted = True
        except NonFiniteLossError:
            # the plan has put the last good weights back
            self._finish()
            raise
        finally:
            if handler is not None:
                signal.signal(signal.SIGINT, handler)
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


class KeepResumePoint(Callback):
    """Write ``last.ckpt`` after each epoch, for ``train(ckpt_path=...)`` to go on from.

    Parameters
    ----------
    dirpath
        Folder, made if it is not there.
    """

    def __init__(self, dirpath: str | os.PathLike[str]):
        self.path = os.path.join(os.fspath(dirpath), "last.ckpt")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint; an interrupt while it is written leaves the one before."""
        trainer.save_checkpoint(self.path)
