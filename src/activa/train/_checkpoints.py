"""Checkpoints that are whole or not there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import TorchCheckpointIO

from activa.io.atomic import atomic_file, check_space

# Weights and Adam's two moments, of the new checkpoint and of the old one, which is there until the new one is whole
_COPIES = 6


class WholeCheckpointIO(TorchCheckpointIO):
    """Lightning's, but that a file is written in its own folder and moved to its place when it is whole.

    Lightning writes into the folder for temporary files. Where that is on another disk the file is copied from there over
    the old one, and a process that is killed meanwhile leaves half a checkpoint and none before it.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint; to remote storage as Lightning does."""
        if "://" in str(path) or storage_options is not None:
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file, overwrite=True, what="checkpoint") as part, part.open("wb") as stream:
            torch.save(checkpoint, stream)


class KeepResumePoint(Callback):
    """Write ``last.ckpt`` after each epoch, for ``train(ckpt_path=...)`` to go on from.

    Parameters
    ----------
    dirpath
        Folder, made if it is not there.

    Raises
    ------
    OSError
        If the folder cannot be made or written in; before training, if its disk has no room for the model's checkpoints.
    """

    def __init__(self, dirpath: str | os.PathLike[str]):
        self.dirpath = os.fspath(dirpath)
        self.path = os.path.join(self.dirpath, "last.ckpt")

    def check(self, module: torch.nn.Module) -> None:
        """Raise the error that writing would end with, as far as it can be foreseen."""
        if "://" not in self.dirpath:
            n_bytes = _COPIES * sum(p.numel() * p.element_size() for p in module.parameters())
            check_space(
                Path(self.dirpath), n_bytes, argument="checkpoint_dir", what="a checkpoint beside the one before"
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the checkpoint; an interrupt, a kill or a full disk while it is written leaves the one before."""
        trainer.save_checkpoint(self.path)
