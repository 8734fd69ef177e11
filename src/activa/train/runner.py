"""The runner of a training plan, which leaves a usable model after an interrupt or an error: guard and checkpoints."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from pathlib import Path
from typing import Any, NoReturn

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO
from lightning.pytorch.utilities.exceptions import SIGTERMException
from scvi.train import TrainRunner
from torch import Tensor, nn

from activa.io.atomic import atomic_file, check_space

# weights and Adam's two moments, of the new checkpoint and of the old one, which stays until the new one is whole
_COPIES = 6


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
        tensors = {name: values for name, values in self.minibatch.items() if isinstance(values, Tensor)}
        poisoned = [name for name, values in tensors.items() if not torch.isfinite(values.to_dense()).all()]
        advice = "Look for extreme counts, or train with a smaller lr or gradient_clip in plan_kwargs."
        if poisoned:
            advice = (
                f"The minibatch has values that are not finite in {poisoned}: find what changed the cells after the model "
                "was made."
            )
        raise error(f"{found} in epoch {self.epoch + 1}. The weights are back to {weights}. {advice}")


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, each written in its own folder, as a kill during a copy would leave half a file."""

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

    def check(self, module: nn.Module) -> None:
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
