"""Training: seeded, interruptible, resumable."""

from __future__ import annotations

import copy
import math
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from scvi import REGISTRY_KEYS
from scvi.dataloaders import DataSplitter
from scvi.model.base import BaseModelClass, UnsupervisedTrainingMixin
from torch.nn import BatchNorm1d

from activa.arguments import check_booleans, check_choices, check_integers
from activa.model import training_checks
from activa.model.datamodule import CellSample, read_datamodule
from activa.model.mixtures import DRAWS, MAX_CELLS, choose_cells, draw_latents, fit_prior
from activa.model.registration import refuse_mudata
from activa.model.registry import modalities_of
from activa.model.untold import warn_of_untold
from activa.module import ACTIVAModule, Categories, LabeledPrior, categories, frozen_but_new
from activa.progress import is_quiet
from activa.scvi_private import split_seed
from activa.seeds import check_seed, seeded
from activa.train import (
    PAPER_RECIPE,
    Game,
    Hinge,
    InterruptibleTrainRunner,
    IntrospectivePlan,
    KeepResumePoint,
    RealismCallback,
    RealismMetric,
    Recipe,
    Soft,
    calibrate,
)


def default_max_epochs(n_cells: int, batch_size: int = 128) -> int:
    """Epochs of a run by default, 5 to 400; with fewer than 2,500 cells steps fall with the square root of the cells.

    >>> default_max_epochs(600), default_max_epochs(2_500), default_max_epochs(60_000)
    (42, 21, 7)
    """
    steps = 400 * math.sqrt(min(n_cells, 2_500) / 2_500) * min(max(n_cells / 2_500, 1), 8)
    return min(max(math.ceil(steps * batch_size / n_cells), 5), 400)


class Training(UnsupervisedTrainingMixin):
    """The ``train`` method."""

    _training_plan_cls = IntrospectivePlan
    _data_splitter_cls = DataSplitter
    _train_runner_cls = InterruptibleTrainRunner

    # set by the model
    training_defaults_: dict[str, Any]  # max_epochs and recipe, as plain values, of a model with its own
    trained_with_: dict[str, Any]  # max_epochs, recipe and batch_size of the last training, as plain values
    # categories of the reference, whose weights training must not move (scArches); None: all weights are trained
    reference_categories_: tuple[int, tuple[int, ...]] | None
    freezes_dropout_ = False  # of its encoder

    def train(
        self,
        max_epochs: int | None = None,
        *,
        game: Game | None = None,
        accelerator: str = "auto",
        devices: int | list[int] | str = "auto",
        train_size: float | None = None,
        validation_size: float | None = None,
        shuffle_set_split: bool = True,
        batch_size: int = 128,
        early_stopping: bool = False,
        seed: int | None = None,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        ckpt_path: str | os.PathLike[str] | None = None,
        datasplitter_kwargs: dict[str, Any] | None = None,
        plan_kwargs: dict[str, Any] | None = None,
        datamodule: LightningDataModule | None = None,
        realism: RealismMetric | None = None,
        **trainer_kwargs: Any,
    ) -> None:
        """Train the model and its classifier, then fit the prior of each type.

        An interrupt (Ctrl-C, or a notebook's stop button) ends training with a warning and leaves a usable model. So does an
        error after the first epoch.

        Parameters
        ----------
        max_epochs
            Epochs. None: 21 for 2,500 to 20,000 cells, fewer for more cells and more for fewer; 610 for
            :meth:`ACTIVA.paper`.
        game
            Game between encoder and generator, such as :class:`activa.train.Soft` or :class:`activa.train.Hinge`. None: no
            game, or the paper's for :meth:`ACTIVA.paper`, which ``game=Hinge(n_epochs_warmup=max_epochs)`` turns off.
        accelerator, devices
            Where to train, as in Lightning's trainer. Several devices need ``strategy="ddp_find_unused_parameters_true"``.
        train_size, validation_size, shuffle_set_split, batch_size
            Split of the cells, and cells per minibatch, as in scvi-tools. By default all cells are trained on, or 90% with
            early stopping, checkpoints (``enable_checkpointing``), ``realism``, ``check_val_every_n_epoch`` or a
            :class:`~activa.train.ReduceOnPlateau`.
        early_stopping
            Stop when the validation ELBO, which does not measure a game, no longer falls; not possible on several devices.
        seed
            Random seed for training; the same seed gives the same weights on one device. None takes ``scvi.settings.seed``,
            or 0 where that is not set.
        checkpoint_dir, ckpt_path
            Folder for ``last.ckpt``, which is replaced after each epoch; and such a file to resume from, with the same
            arguments as in the run that wrote it.
        plan_kwargs
            Fields of :class:`activa.train.Recipe` other than the game, such as ``lr``.
        datamodule
            Cells that are read from disk in minibatches, such as :class:`scvi.dataloaders.AnnbatchDataModule`, for a model
            made with ``registry=datamodule.registry``. Its own batch size applies if ``batch_size`` is 128.
        realism
            Metric that compares generated with validation cells at each validation, logged as ``realism_validation``
            (:class:`~activa.train.RealismCallback`), for early stopping or :func:`scvi.autotune.run_autotune`.
        datasplitter_kwargs, **trainer_kwargs
            Further arguments of :class:`scvi.dataloaders.DataSplitter`, and of :class:`scvi.train.Trainer` (``logger``,
            ``callbacks``, ``check_val_every_n_epoch``).

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong or does not exist; if the model cannot be trained as it is; or, at the end, if latents are
            not finite, so that the prior cannot be fitted (the trained weights are kept).
        OSError, activa.train.NonFiniteLossError, activa.train.ExplodedLossError
            If ``checkpoint_dir`` is a file, cannot be written to or has no room; or if a loss is not finite, or the
            reconstruction far worse than it was. The model has the last good weights.

        Examples
        --------
        >>> model.train(game=Soft(0.1), plan_kwargs={"lr": 1e-3})  # doctest: +SKIP
        """
        interval = trainer_kwargs.get("check_val_every_n_epoch")
        check_integers(max_epochs=max_epochs, check_val_every_n_epoch=interval, optional=True)
        check_integers(batch_size=batch_size)
        check_booleans(shuffle_set_split=shuffle_set_split, early_stopping=early_stopping)
        if realism is not None:
            check_choices(realism=(realism, RealismMetric))
        recipe = self._recipe(plan_kwargs, game)
        every_epoch = early_stopping or training_checks.needs_losses(recipe, trainer_kwargs)
        validates = every_epoch or realism is not None or interval is not None
        training_checks.check_split(train_size, validation_size, validates)
        training_checks.check_further(datasplitter_kwargs, trainer_kwargs)
        training_checks.check_paths(checkpoint_dir, ckpt_path)
        training_checks.check_device(accelerator, devices)
        # PyTorch takes Python's whole numbers only
        seed, batch_size = check_seed(seed, default=0), int(batch_size)
        self._check_trainable(datamodule, realism, recipe)
        cells: Any = self.adata if datamodule is None else datamodule
        if datamodule is not None and batch_size == 128:
            batch_size = getattr(datamodule, "batch_size", batch_size)
        own = self.training_defaults_.get("max_epochs")
        max_epochs = int(max_epochs or own or default_max_epochs(cells.n_obs, batch_size))
        if train_size is None and validation_size is None and not validates:
            train_size = 1.0
        single = self._without_single_cells(train_size, cells.n_obs, batch_size)
        warn_of_untold(self, seed)
        callbacks = self._callbacks(trainer_kwargs.pop("callbacks", None), checkpoint_dir, realism)
        # a held-out ELBO in every epoch costs more than it tells; twenty make a curve
        often = None if train_size == 1.0 else 1 if every_epoch else max(max_epochs // 20, 1)
        # losses are logged by epoch; the default warns if an epoch has fewer than ten steps
        defaults = {"check_val_every_n_epoch": often, "log_every_n_steps": 1, "enable_progress_bar": not is_quiet()}
        trainer_kwargs = defaults | trainer_kwargs
        with self._training_mode(), seeded(seed), split_seed(seed):
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
                datasplitter_kwargs=single | (datasplitter_kwargs or {}),
                plan_kwargs={"max_epochs": max_epochs, "recipe": recipe},
                datamodule=datamodule,
                ckpt_path=None if ckpt_path is None else os.fspath(ckpt_path),
                callbacks=callbacks,
                **trainer_kwargs,
            )
            if self.trainer.world_size > 1:
                # each device had its own noise, and all must end with the same prior
                torch.manual_seed(seed)
            self._fit_prior(self.module, int(torch.randint(2**31, ())), sample)
        # a game of the user's own has no plain values
        plain = None if recipe.game is not None and type(recipe.game) not in (Hinge, Soft) else recipe.to_dict()
        self.trained_with_ = {"max_epochs": max_epochs, "recipe": plain, "batch_size": batch_size}

    def refit(self, *, seed: int | None = 0) -> Self:
        """Train a new model of the same settings on as many cells of this one as it was trained on.

        What separates such a model's cells from this one's is what so few cells cost: no misfit is possible. It is the
        refit floor of :func:`activa.metrics.evaluate`.

        Parameters
        ----------
        seed
            Seed of the cells, the initial weights and the training. The types are those of the training cells.

        Raises
        ------
        RuntimeError, ValueError
            If the model has not been trained by :meth:`train`, or was registered with MuData, size factors or unlabeled
            cells, which generated cells do not have.

        Examples
        --------
        >>> model.refit(seed=0)  # doctest: +SKIP
        """
        refuse_mudata(self, "refit", "train a model of the RNA alone")
        trained_with = getattr(self, "trained_with_", None)
        if trained_with is None or trained_with["recipe"] is None:
            raise RuntimeError(
                "refit needs a model whose training is known: call model.train() with a game of activa.train."
            )
        arguments = self.registry_["setup_args"]
        if given := [key for key in ("size_factor_key", "unlabeled_category") if arguments[key] is not None]:
            raise ValueError(
                f"refit needs generated cells with {given[0]}={arguments[given[0]]!r}, which they do not have."
            )
        seed = check_seed(seed)
        sampler = self.sampler
        asked = dict(zip(sampler.types, sampler.design.type_sizes.tolist(), strict=True))
        cells = sampler.generate(**({"n": sum(asked.values())} if len(asked) == 1 else {"labels": asked}), seed=seed)
        self.setup_anndata(cells, **arguments)
        is_paper = self.training_defaults_.get("recipe") == PAPER_RECIPE.to_dict()
        again = (
            self.paper(cells, seed=seed) if is_paper else type(self)(cells, seed=seed, **self.module.settings.to_dict())
        )
        again.training_defaults_ = {name: trained_with[name] for name in ("max_epochs", "recipe")}
        again.train(batch_size=trained_with["batch_size"], seed=seed, enable_progress_bar=sys.stderr.isatty())
        return again

    def _recipe(self, plan_kwargs: dict[str, Any] | None, game: Game | None) -> Recipe:
        own = self.training_defaults_.get("recipe")
        return Recipe.of(plan_kwargs, game, defaults=None if own is None else Recipe.from_dict(own))

    def _check_trainable(self, datamodule: Any, realism: RealismMetric | None, recipe: Recipe) -> None:
        """Raise a ValueError if the model cannot be trained as it is."""
        if self.adata is None and datamodule is None:
            raise ValueError("The model was made without data: give datamodule=, or load it with adata=, to train it.")
        if self.adata is not None and datamodule is not None:
            hint = "leave it out, or make the model with registry=datamodule.registry"
            raise ValueError(f"datamodule={datamodule!r} was given, and the model has an AnnData to train on: {hint}.")
        if self.minified_data_type is not None:
            # with counts too: the latents that are kept would no longer be the encoder's
            raise ValueError("train needs counts, and the model's data are minified: load(folder, adata=counts).")
        if realism is not None and (datamodule is not None or modalities_of(self.registry_) is not None):
            raise ValueError(f"realism={realism!r} needs cells of an AnnData: leave it out, and evaluate afterwards.")
        reference = self.reference_categories_
        training_checks.check_decay(recipe, reference)
        if reference is not None and categories(self.module) == Categories(*reference):
            raise ValueError(
                "There is nothing to train: the query cells have no batch or covariate category that is new to the "
                "reference, whose weights are frozen. Use the model as it is, or load_query_data(..., unfrozen=True)."
            )

    def _without_single_cells(self, train_size: float | None, n_cells: int, batch_size: int) -> dict[str, bool]:
        """Drop the last minibatch if it has one cell and batch normalization, which fails on it (shuffling varies which)."""
        n_train = math.ceil((0.9 if train_size is None else train_size) * n_cells)
        normalized = any(isinstance(m, BatchNorm1d) for m in self.module.modules())
        return {"drop_last": True} if n_train > 1 and n_train % batch_size == 1 and normalized else {}

    def _callbacks(self, given: Any, checkpoint_dir: Any, realism: RealismMetric | None) -> list[Any]:
        callbacks = training_checks.callbacks_of(given)
        if checkpoint_dir is not None:
            callbacks.append(KeepResumePoint(checkpoint_dir))
            callbacks[-1].check(self.module)
        if realism is not None:
            callbacks.append(RealismCallback(self, metric=realism))
        return callbacks

    @contextmanager
    def _training_mode(self) -> Iterator[None]:
        """The module in training mode, a reference's weights frozen, and irrelevant warnings filtered."""
        reference = self.reference_categories_
        ignored = [
            r".*isinstance\(treespec, LeafSpec\)",  # Lightning 2.6 with PyTorch 2.15
            "Last batch will have a small size",  # a single cell is dropped where it would be an error
            *([] if reference is None else [r"Found \d+ module\(s\) in eval mode"]),  # batch normalization stands still
        ]
        # Lightning leaves the mode as it is, and a model that was trained or loaded is in evaluation mode
        self.module.train()
        try:
            with warnings.catch_warnings(), torch.enable_grad(), ExitStack() as stack:
                for message in ignored:
                    warnings.filterwarnings("ignore", message=message)
                if reference is not None:
                    drops = not self.freezes_dropout_
                    stack.enter_context(frozen_but_new(self.module, Categories(*reference), drops=drops))
                yield
        finally:
            self.module.eval()

    def _fit_prior(
        self,
        module: ACTIVAModule,
        seed: int,
        sample: CellSample | None = None,
        indices: np.ndarray | None = None,
        *,
        calibrates: bool = True,
    ) -> None:
        """Fit the prior of a module to all cells, to those at indices, or to a data module's sample, and calibrate it."""
        rng = np.random.default_rng(seed)
        if not isinstance(module.prior, LabeledPrior):
            return
        if sample is None:
            codes = [
                np.asarray(self.adata_manager.get_from_registry(key)).ravel()
                for key in (REGISTRY_KEYS.LABELS_KEY, REGISTRY_KEYS.BATCH_KEY)
            ]
            among = np.arange(len(codes[0])) if indices is None else indices
            cells = among[choose_cells(codes[0][among], rng, MAX_CELLS)]
            codes = [code[cells] for code in codes]
            # the loader draws a seed, which must not come from the global state while the model trains
            of_any = BaseModelClass._make_data_loader  # the model's own refuses before training has ended
            minibatches = of_any(self, self.adata, indices=cells, generator=torch.Generator())
        else:
            codes, minibatches = [sample.y, sample.batch], sample.minibatches()
        z = draw_latents(module, minibatches, rng)
        known = None if self.reference_categories_ is None else self.reference_categories_[0]
        y, batch = (np.tile(code, DRAWS) for code in codes)
        fit_prior(module.prior, z, y, batch, rng, n_known_batches=known)
        if calibrates and known is None:
            minibatches = sample.minibatches() if sample is not None else minibatches
            calibrate(module, minibatches, seed=int(rng.integers(2**31)))

    def module_if_training_ended(self, indices: np.ndarray, seed: int) -> ACTIVAModule:
        """A copy of the module in evaluation mode, its prior fitted to the cells at indices."""
        with torch.inference_mode(mode=False):
            module = copy.deepcopy(self.module).eval()
        # calibrating takes longer than the epochs between
        self._fit_prior(module, seed, indices=indices, calibrates=False)
        return module
