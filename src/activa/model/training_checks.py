"""Checks of the arguments of ``train``, before any work starts."""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import lightning.pytorch as pl
from scvi.dataloaders import AnnDataLoader, DataSplitter
from scvi.model.base import UnsupervisedTrainingMixin
from scvi.train import SaveCheckpoint, Trainer, TrainRunner
from torch.utils.data import DataLoader

from activa.arguments import check_numbers
from activa.scvi_private import parse_device_args
from activa.train import Recipe, ReduceOnPlateau

# arguments that train passes on under another name or in another place
_OWN = {"max_epochs", "module", "self", "kwargs", "args", "model", "training_plan", "data_splitter", "plan_config"}


def check_device(accelerator: Any, device: Any, name: str = "devices") -> None:
    """Check that a device exists; a ValueError says why it does not."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # training warns itself
        try:
            parse_device_args(accelerator, device, return_device="torch", validate_single_device=name == "device")
        except Exception as error:
            raise ValueError(
                f"accelerator={accelerator!r} and {name}={device!r} name no device of this machine: give 'auto' for both, "
                f"or others. ({type(error).__name__}: {error})"
            ) from error


def check_split(train_size: Any, validation_size: Any, validates: bool) -> None:
    """Check the shares of the training and validation cells."""
    check_numbers(train_size=train_size, above=0, most=1, optional=True)
    check_numbers(validation_size=validation_size, least=0, below=1, optional=True)
    if train_size is not None and validation_size is not None and train_size + validation_size > 1:
        raise ValueError(f"train_size and validation_size must sum to at most 1, got {train_size}, {validation_size}.")
    if train_size == 1.0 and validates:
        raise ValueError(
            "early_stopping, checkpoints, realism, check_val_every_n_epoch and ReduceOnPlateau need cells to validate on: "
            "give train_size below 1, got 1.0."
        )


def check_paths(checkpoint_dir: Any, ckpt_path: Any) -> None:
    """Check that the folder for checkpoints is no file, and that the checkpoint to resume from is one."""
    for name, path in {"checkpoint_dir": checkpoint_dir, "ckpt_path": ckpt_path}.items():
        if path is not None and not isinstance(path, str | os.PathLike):
            raise TypeError(f"{name} must be a string or a Path, got {path!r}.")
    if ckpt_path is not None and not os.path.isfile(ckpt_path):
        raise ValueError(f"ckpt_path={str(ckpt_path)!r} is not a file: give a checkpoint that was written.")
    if ckpt_path is not None and not is_zipfile(ckpt_path):
        raise ValueError(f"ckpt_path={str(ckpt_path)!r} is not a checkpoint, or not a whole one: give another.")
    if checkpoint_dir is not None and any(p.is_file() for p in (Path(checkpoint_dir), *Path(checkpoint_dir).parents)):
        raise NotADirectoryError(f"checkpoint_dir={str(checkpoint_dir)!r} is, or is in, a file: give a folder.")


def check_decay(recipe: Recipe, reference: Any) -> None:
    """Check that no decay moves the frozen weights of a reference, if there is one."""
    if reference is not None and recipe.weight_decay > 0:
        raise ValueError(
            f"weight_decay={recipe.weight_decay} would move the reference's frozen weights: give 0, or make the model by "
            "load_query_data(..., unfrozen=True)."
        )


def callbacks_of(given: Any) -> list[Any]:
    """The callbacks, which Lightning's trainer takes as None, one or several."""
    return [] if given is None else list(given) if isinstance(given, Iterable) else [given]


def needs_losses(recipe: Recipe, trainer_kwargs: Mapping[str, Any]) -> bool:
    """Whether the validation loss of every epoch is needed, by checkpoints of the best ones, callbacks or the learning rate."""
    callbacks = callbacks_of(trainer_kwargs.get("callbacks"))
    saves = trainer_kwargs.get("enable_checkpointing") or any(isinstance(c, SaveCheckpoint) for c in callbacks)
    watches = any("validation" in str(getattr(c, "monitor", "")) for c in callbacks)
    return bool(saves) or watches or isinstance(recipe.lr_schedule, ReduceOnPlateau)


def check_further(datasplitter_kwargs: Any, trainer_kwargs: Any) -> None:
    """Check that further arguments of ``train`` are arguments of those that take them."""
    _check_names("datasplitter_kwargs", datasplitter_kwargs, DataSplitter, AnnDataLoader, DataLoader)
    _check_names("train", trainer_kwargs, Trainer, pl.Trainer, TrainRunner, UnsupervisedTrainingMixin.train)


def _check_names(argument: str, given: Any, *takers: Callable[..., Any]) -> None:
    """Check that further arguments are a mapping, each named by one of the takers' arguments."""
    if given is None:
        return
    if not isinstance(given, Mapping):
        raise TypeError(f"{argument} must map arguments of {takers[0].__name__} to values, got {given!r}.")
    known = {name for taker in takers for name in inspect.signature(taker).parameters} - _OWN
    if unknown := [name for name in given if name not in known]:
        raise TypeError(f"{argument} has no argument {unknown[0]!r}, got {dict(given)!r}: name one of {sorted(known)}.")
