"""Realism of generated cells while a model trains, for early stopping and hyper-parameter search to go by."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from scipy.sparse import csr_matrix
from scvi import REGISTRY_KEYS

from activa.arguments import check_choices
from activa.data import Cells, log_normalize, subsample
from activa.metrics import METRICS, Comparison
from activa.metrics.space import Space
from activa.module import LabeledPrior
from activa.seeds import check_seed, seeded

if TYPE_CHECKING:
    from activa import ACTIVA

RealismMetric = Literal["mmd", "rf_auc", "wasserstein"]

# More cells would make a figure steadier, and each validation longer than the epochs between.
_MAX_REFERENCE, _MAX_REAL = 5_000, 2_000
_MIN_REAL = 5


class RealismCallback(Callback):
    """Compare generated cells with the validation cells whenever these are validated on; log ``realism_validation``.

    It is made by ``model.train(realism=...)``. What is measured is what a user would get if training ended here: a
    copy of the labeled prior is fitted as :meth:`~activa.ACTIVA.train` fits the prior at its end, but to training cells
    alone, and is dropped afterwards. Where types are got by the classifier's filter alone, as with the paper's prior,
    cells are taken unfiltered: a classifier that has learnt little lets none through. The weights, the optimizers and
    the random state are left as they were, so that a run with the callback ends in the same model, bit for bit, as one
    without it.

    Parameters
    ----------
    model
        The model that is trained, with its data.
    metric
        Key of :data:`activa.metrics.METRICS`. All are lower for better cells; ``"wasserstein"`` has no fixed floor.
    fit_prior
        Whether the prior is fitted when training ends; if not, cells are drawn from the prior as it is learnt.
    n_draws
        Sets of cells, each of the types of the validation cells, that the figure is a mean over.
    seed
        Of the cells: the same in every epoch, and in every run that models are compared by.

    Raises
    ------
    ValueError
        If an argument is out of range; in training, if there are fewer than five labeled validation cells.

    Examples
    --------
    >>> model.train(realism="mmd", early_stopping=True, early_stopping_monitor="realism_validation")
    >>> model.history["realism_validation"]
    """

    def __init__(
        self,
        model: ACTIVA,
        *,
        metric: RealismMetric = "mmd",
        fit_prior: bool = True,
        n_draws: int = 4,
        seed: int = 0,
    ):
        check_choices(metric=(metric, RealismMetric))
        if n_draws < 1:
            raise ValueError(f"n_draws must be at least 1, got {n_draws}.")
        self.model, self.metric, self.n_draws = model, metric, n_draws
        self.fit_prior = fit_prior and isinstance(model.module.prior, LabeledPrior)
        self.seed = check_seed(seed)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the training and the validation cells of this run."""
        splitter: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._train_indices = np.sort(np.asarray(splitter.train_idx, dtype=int))
        self._real = self._read(np.asarray(splitter.val_idx, dtype=int), _MAX_REAL)
        if len(self._real) < _MIN_REAL:
            raise ValueError(
                f"realism is measured on validation cells with a type, of which there are {len(self._real)}: give a "
                f"train_size or validation_size that leaves at least {_MIN_REAL}."
            )
        self._space = Space(self._read(self._train_indices, _MAX_REFERENCE), self.seed)

    def _read(self, indices: np.ndarray, max_cells: int) -> Cells:
        """Some of the model's cells, their labels the types' codes; those without a type are left out."""
        manager = self.model.adata_manager
        codes = np.asarray(manager.get_from_registry(REGISTRY_KEYS.LABELS_KEY)).ravel()[indices]
        typed = codes < len(self.model.types)
        indices, codes = indices[typed], codes[typed]
        chosen = subsample(len(indices), max_cells, np.random.default_rng(self.seed), codes)
        order = chosen[np.argsort(indices[chosen])]  # backed data are read in their order
        return self._cells(manager.get_from_registry(REGISTRY_KEYS.X_KEY)[indices[order]], codes[order])

    def _cells(self, x: Any, codes: np.ndarray) -> Cells:
        x = csr_matrix(x)
        return Cells(log_normalize(x), x, codes) if self.model.module.is_count else Cells(x, None, codes)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the figure."""
        if not trainer.sanity_checking:
            pl_module.log("realism_validation", self.measure(), prog_bar=True)

    def measure(self) -> float:
        """The figure, of the weights as they are."""
        codes, module = self._real.types, self.model.module
        values = []
        with seeded(self.seed), self._as_after_training():
            for draw in range(self.n_draws):
                seed, z = self.seed + draw, None
                if not module.knows_types:
                    z = np.random.default_rng(seed).normal(size=(len(codes), module.n_latent))
                made = self.model.generate(labels=list(self.model.types[codes]), z=z, seed=seed)
                pair = Comparison(self._real, self._cells(made.X, codes), self._space, True, self.seed)
                values.append(METRICS[self.metric].compute(pair))
        return float(np.mean(values))

    @contextmanager
    def _as_after_training(self) -> Iterator[None]:
        """The model as it would be if training ended here."""
        model, module = self.model, self.model.module
        prior, was_trained = module.prior, model.is_trained_
        training = [part for part in module.modules() if part.training]
        try:
            model.is_trained_ = True
            module.eval()
            if self.fit_prior:
                # the optimizer goes on with the parameters of the one put aside
                module.prior = copy.deepcopy(prior)
                model._fit_prior(indices=self._train_indices)
            yield
        finally:
            module.prior, model.is_trained_ = prior, was_trained
            for part in training:
                part.training = True
