"""Training: seeded, interruptible, resumable."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from scvi import REGISTRY_KEYS
from scvi.dataloaders import DataSplitter
from scvi.model.base import UnsupervisedTrainingMixin
from torch.nn import BatchNorm1d

from activa.model._checks_training import check_training
from activa.model._registered import RegisteredMixin
from activa.model.datamodule import CellSample, read_datamodule
from activa.model.mixtures import choose_cells, fit_mixtures
from activa.module import LabeledPrior
from activa.scvi_private import split_seed
from activa.seeds import check_seed, seeded
from activa.train import (
    InterruptibleTrainRunner,
    IntrospectivePlan,
    KeepResumePoint,
    RealismCallback,
    RealismMetric,
)

_MAX_CELLS_FOR_PRIOR = 20_000
_DRAWS = 5


def default_max_epochs(n_cells: int, batch_size: int = 128) -> int:
    """Epochs of a run when none are given: 21 for 2,500 to 20,000 cells, in minibatches of 128.

    Fewer cells get more, steps falling with the square root of the cells; with more cells steps stay as they are. The
    bounds are 5 and 400.

    Examples
    --------
    >>> default_max_epochs(600), default_max_epochs(2_500), default_max_epochs(60_000)
    (42, 21, 7)
    """
    steps = 400 * math.sqrt(min(n_cells, 2_500) / 2_500) * min(max(n_cells / 2_500, 1), 8)
    return min(max(math.ceil(steps * batch_size / n_cells), 5), 400)


class TrainingMixin(RegisteredMixin, UnsupervisedTrainingMixin):
    """The ``train`` method."""

    _training_plan_cls = IntrospectivePlan
    _data_splitter_cls = DataSplitter
    _train_runner_cls = InterruptibleTrainRunner
    training_defaults_: dict[str, Any]
    minified_data_type: str | None

    def train(
        self,
        max_epochs: int | None = None,
        *,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        train_size: float | None = None,
        validation_size: float | None = None,
        shuffle_set_split: bool = True,
        batch_size: int = 128,
        early_stopping: bool = False,
        seed: int | None = 0,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        datasplitter_kwargs: dict[str, Any] | None = None,
        plan_kwargs: dict[str, Any] | None = None,
        fit_prior: bool = True,
        datamodule: LightningDataModule | None = None,
        realism: RealismMetric | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        """Train the model, with the classifier beside it, and fit its prior.

        An interrupt (Ctrl-C, or the notebook's stop button) ends training with a warning and leaves a usable model. So does
        an error after the first epoch: a loss gone wrong with the last good weights, any other with those that it found.

        Parameters
        ----------
        max_epochs
            Epochs; by default 21 for 2,500 to 20,000 cells, fewer for more cells and more for fewer.
        accelerator, devices
            Where to train, as in Lightning's trainer. Several devices take ``strategy="ddp_find_unused_parameters_true"``;
            each has minibatches and noise of its own, and all end with one model.
        train_size, validation_size, shuffle_set_split
            Split into training, validation and test cells, as in scvi-tools. By default all cells are trained on, or
            90% with early stopping, ``realism`` or ``check_val_every_n_epoch``.
        batch_size
            Cells a step.
        early_stopping
            Stop when the validation ELBO no longer falls. scvi-tools switches it off, with a warning, on several devices;
            there, and beside a game, which the ELBO does not measure, choose ``max_epochs``.
        seed
            Of the draws in training; the same seed gives the same weights on one device. None for a new one each time.
        checkpoint_dir
            Folder to keep ``last.ckpt`` in, written after each epoch: whole, beside the one before, which it then replaces.
        ckpt_path
            Checkpoint to go on from. Give the same ``max_epochs`` as the run that wrote it.
        datasplitter_kwargs
            Further arguments of :class:`scvi.dataloaders.DataSplitter`.
        plan_kwargs
            Arguments of :class:`activa.train.IntrospectivePlan`: the form of the game, weights, learning rates.
        fit_prior
            Whether a labeled prior is fitted to the cells' latents when training ends, a mixture of Gaussians for each
            type; else it is left as training learnt it.
        realism
            Metric by which generated cells are compared with the validation cells whenever these are validated on, logged
            as ``realism_validation`` (:class:`~activa.train.RealismCallback`); for early stopping, or
            :func:`scvi.autotune.run_autotune`, to go by.
        datamodule
            Cells that are read from disk in minibatches, such as :class:`scvi.dataloaders.AnnbatchDataModule`, for a model
            made with ``registry=datamodule.registry``. They are read once more before training, for where it starts. Its
            own batch size counts where ``batch_size`` is left at 128. Each of several devices would read all cells.
        **trainer_kwargs
            Further arguments of :class:`scvi.train.Trainer` (``check_val_every_n_epoch``, ``logger``, ``callbacks``).

        Raises
        ------
        TypeError
            If an argument is of another type than it must be, or there is none of its name.
        ValueError
            If the model was loaded without data, an argument is out of range, validation is asked for without cells for it,
            or ``ckpt_path`` is no whole checkpoint. When training has ended, if the prior cannot be fitted because latents
            are not finite: the trained weights are kept.
        OSError
            If ``checkpoint_dir`` is a file, cannot be written in or has no room, before training as far as that can be foreseen.
        activa.train.NonFiniteLossError, activa.train.ExplodedLossError
            If a loss is not finite, or the cells' reconstruction far worse than it was. The model keeps the last good weights
            (those it had, untrained if it was, where no epoch was good).

        Examples
        --------
        >>> model.train(plan_kwargs={"introspection": "hinge"})
        """
        check_training(
            max_epochs=max_epochs, accelerator=accelerator, devices=devices, train_size=train_size,
            validation_size=validation_size, shuffle_set_split=shuffle_set_split, batch_size=batch_size,
            early_stopping=early_stopping, checkpoint_dir=checkpoint_dir, ckpt_path=ckpt_path,
            datasplitter_kwargs=datasplitter_kwargs, plan_kwargs=plan_kwargs, fit_prior=fit_prior, realism=realism,
            trainer_kwargs=trainer_kwargs,
        )  # fmt: skip
        # PyTorch takes no other whole numbers than Python's
        seed, batch_size, max_epochs = (
            check_seed(seed),
            int(batch_size),
            None if max_epochs is None else int(max_epochs),
        )
        plan_kwargs = self.training_defaults_.get("plan_kwargs", {}) | dict(plan_kwargs or {})
        self._check_trainable(plan_kwargs, datamodule)
        if realism is not None and (datamodule is not None or self._modalities is not None):
            raise ValueError(
                f"realism={realism!r} is measured on cells of an AnnData: leave it out, and evaluate after."
            )
        cells: Any = self.adata if datamodule is None else datamodule
        n_cells = cells.n_obs
        if datamodule is not None and batch_size == 128:
            batch_size = getattr(datamodule, "batch_size", batch_size)
        if max_epochs is None:
            max_epochs = self.training_defaults_.get("max_epochs")
        if max_epochs is None:
            max_epochs = default_max_epochs(n_cells, batch_size)
        validates = early_stopping or realism is not None or trainer_kwargs.get("check_val_every_n_epoch") is not None
        if train_size is None and validation_size is None and not validates:
            train_size = 1.0
        n_train = math.ceil((0.9 if train_size is None else train_size) * n_cells)
        if n_train > 1 and n_train % batch_size == 1 and any(isinstance(m, BatchNorm1d) for m in self.module.modules()):
            # one cell has no variance to be normalized by: the one left over is another in every epoch
            datasplitter_kwargs = {"drop_last": True} | (datasplitter_kwargs or {})
        if train_size == 1.0 and validates:
            raise ValueError(
                "early_stopping, realism and check_val_every_n_epoch need cells to validate on: give train_size below 1, "
                "got 1.0."
            )
        callbacks = list(trainer_kwargs.pop("callbacks", []))
        if checkpoint_dir is not None:
            callbacks.append(KeepResumePoint(checkpoint_dir))
            callbacks[-1].check(self.module)
        if realism is not None:
            model: Any = self
            callbacks.append(RealismCallback(model, metric=realism, fit_prior=fit_prior))
        # a held-out ELBO every epoch would cost as much as it tells; twenty make a curve
        often = None if train_size == 1.0 else 1 if early_stopping else max(max_epochs // 20, 1)
        trainer_kwargs.setdefault("check_val_every_n_epoch", often)
        # losses are logged by epoch; the default asks for ten steps in each, which few cells do not have
        trainer_kwargs.setdefault("log_every_n_steps", 1)
        with self._in_training_mode(), seeded(seed), split_seed(seed), warnings.catch_warnings(), torch.enable_grad():
            # Lightning 2.6 with PyTorch 2.15, of no concern to the user
            warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
            # nor is this: where one cell left over would be an error, it is dropped
            warnings.filterwarnings("ignore", message="Last batch will have a small size")
            sample = None
            if datamodule is not None:
                datamodule, sample = read_datamodule(self, datamodule, seed)
            super().train(
                max_epochs=max_epochs,
                accelerator=accelerator,
                devices=devices,
                train_size=train_size,
                validation_size=validation_size,
                shuffle_set_split=shuffle_set_split,
                batch_size=batch_size,
                early_stopping=early_stopping,
                datasplitter_kwargs=datasplitter_kwargs,
                plan_kwargs={"max_epochs": max_epochs, **plan_kwargs},
                datamodule=datamodule,
                ckpt_path=None if ckpt_path is None else os.fspath(ckpt_path),
                callbacks=callbacks,
                **trainer_kwargs,
            )
            if fit_prior and isinstance(self.module.prior, LabeledPrior):
                if self.trainer.world_size > 1:
                    # each device has had noise of its own, and all are to end with one prior
                    torch.manual_seed(seed)
                self._fit_prior(sample)

    def _check_trainable(self, plan_kwargs: dict[str, Any], datamodule: LightningDataModule | None) -> None:
        """Raise a ValueError if the model cannot be trained as it is."""
        if self.adata is None and datamodule is None:
            raise ValueError(
                "The model was made without data: give datamodule=, or load what save() wrote with adata=, to train it on. "
                "(An export holds no cells.)"
            )
        if self.adata is not None and datamodule is not None:
            raise ValueError(
                f"datamodule={datamodule!r} was given, and the model has an AnnData to train on: leave it out, or make the "
                "model with registry=datamodule.registry."
            )
        if self.minified_data_type is not None:
            # with counts too: the latents that are kept would no longer be the encoder's
            raise ValueError(
                "train needs an encoder that reads counts, and the model's data are minified: load the saved model with "
                "the full data, load(folder, adata=...)."
            )

    def _fit_prior(self, sample: CellSample | None = None, indices: np.ndarray | None = None) -> None:
        """Fit the prior of each type to latents of its cells: of all, of some, or of a data module's sample."""
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        z, y, batch = self._draw_latents(rng, sample, indices)
        if not np.isfinite(z).all():
            raise ValueError(
                f"{(~np.isfinite(z).all(axis=1)).mean():.1%} of the cells have latents that are not finite, so the prior "
                "is left as it was: see what has changed the cells since the model was made. The model can be used."
            )
        prior: Any = self.module.prior
        n_labels, n_components, _ = prior.loc.shape
        mixtures = fit_mixtures(z, y, n_labels, n_components, rng, draws=_DRAWS)
        # a type without cells here, as after load_query_data, keeps what it has
        present = torch.as_tensor(np.isin(np.arange(n_labels), y))
        prior.start_from(*mixtures, labels=present)
        self._weigh_batches(z, y, batch)

    def _draw_latents(
        self, rng: np.random.Generator, sample: CellSample | None, indices: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Latents of the cells that the prior is fitted to, several a cell, and the codes of their types and batches."""
        if sample is None:
            codes = [
                np.asarray(self.adata_manager.get_from_registry(key)).ravel()
                for key in (REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.BATCH_KEY)
            ]
            among = np.arange(len(codes[0])) if indices is None else indices
            cells = among[choose_cells(codes[0][among], rng, _MAX_CELLS_FOR_PRIOR)]
            codes = [code[cells] for code in codes]
            mean, variance = self.get_latent_representation(indices=cells, return_dist=True)
        else:
            codes = [sample.y, sample.batch]
            mean, variance = self.get_latent_representation(dataloader=sample.minibatches(), return_dist=True)
        z = [mean + rng.normal(size=mean.shape) * np.sqrt(variance) for _ in range(_DRAWS)]
        y, batch = (np.tile(code, _DRAWS) for code in codes)
        return np.concatenate(z), y, batch

    def _weigh_batches(self, z: np.ndarray, y: np.ndarray, batch: np.ndarray, first: int = 0) -> None:
        """Tell the prior how the batches' cells are spread over it, from the first batch that is not known."""
        prior: Any = self.module.prior
        codes = (torch.as_tensor(code, device=self.device).long() for code in (y, batch))
        prior.weigh_batches(torch.as_tensor(z, dtype=torch.float32, device=self.device), *codes, first, draws=_DRAWS)

    @contextmanager
    def _in_training_mode(self) -> Iterator[None]:
        """Lightning leaves the mode as it is: evaluation, for a model that has been trained or loaded."""
        self.module.train()
        try:
            yield
        finally:
            self.module.eval()
