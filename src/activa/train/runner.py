"""The runner of a training plan, which leaves a usable model after an interrupt or an error, and its checkpoints."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from scvi.train import TrainRunner

from activa.io.atomic import atomic_file, check_space

# weights and Adam's two moments, of the new checkpoint and of the old one, which stays until the new one is whole
_COPIES = 6


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written beside the old one: from another disk's temporary folder a kill leaves half a file."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint and move it to its place when it is whole; to remote storage as Lightning does."""
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file, overwrite=True, what="checkpoint") as part, part.open("wb") as stream:
            torch.save(checkpoint, stream)


class KeepResumePoint(Callback):
    """Write ``last.ckpt`` after each epoch, from which ``train(ckpt_path=...)`` resumes."""

    def __init__(self, dirpath: str | os.PathLike[str]):
        self.dirpath = os.fspath(dirpath)
        self.path = os.path.join(self.dirpath, "last.ckpt")

    def check(self, module: torch.nn.Module) -> None:
        """Raise an OSError if the disk has no room for checkpoints of the module."""
        if "://" not in self.dirpath:
            n_bytes = _COPIES * sum(p.numel() * p.element_size() for p in module.parameters())
            what = "a checkpoint beside the one before"
            check_space(Path(self.dirpath), n_bytes, argument="checkpoint_dir", what=what)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint. An interrupt, a kill or a full disk leaves the one before."""
        trainer.save_checkpoint(self.path)


class InterruptibleTrainRunner(TrainRunner):
    """scvi-tools' runner, except that an interrupt ends training, not the process, and that checkpoints are atomic."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        strategy = self.trainer.strategy
        if type(strategy.checkpoint_io) is TorchCheckpointIO:  # not one that the user chose
            strategy.checkpoint_io = AtomicCheckpointIO()

    def _run_training_core(self) -> None:
        in_main_thread = threading.current_thread() is threading.main_thread()
        handler = signal.getsignal(signal.SIGINT) if in_main_thread else None
        interrupted = False
        try:
            self.trainer.fit(self.training_plan, self.data_splitter, ckpt_path=self.ckpt_path)
        except SIGTERMException as error:
            # whoever asked the process to end does not wait for the rest; Lightning's exit code would be 0
            raise SystemExit(128 + signal.SIGTERM) from error
        except (KeyboardInterrupt, SystemExit):
            # Lightning turns an interrupt into SystemExit, and then ignores further ones for good
            interrupted = True
            self.training_plan.guard.leave_finite_weights()
        except Exception:
            if self.training_plan.guard.good_epochs > 0:
                self._finish()
            raise
        finally:
            if handler is not None:
                signal.signal(signal.SIGINT, handler)
        # resumed after the last epoch, only the prior remains to be fitted
        self.training_plan.take_up_random_state()
        epoch = self.trainer.current_epoch
        self._finish()
        if interrupted:
            warnings.warn(
                f"Training was interrupted after {epoch} of {self.trainer.max_epochs} epochs. The model keeps its weights "
                "and can be used. To resume such a run, give checkpoint_dir to train().",
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
