"""Realism of generated cells during training, for early stopping and the search of hyperparameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from scipy.sparse import csr_matrix
from scvi import REGISTRY_KEYS

from activa.arguments import check_choices, check_integers
from activa.data import Cells, log_normalize, subsample
from activa.metrics import mmd, rf_auc, wasserstein
from activa.metrics.space import Space
from activa.seeds import check_seed

RealismMetric = Literal["mmd", "rf_auc", "wasserstein"]
_METRICS: dict[RealismMetric, Callable[..., float]] = {"mmd": mmd, "rf_auc": rf_auc, "wasserstein": wasserstein}

# more cells would make the figure steadier, and each validation longer than the epochs between
_MAX_REFERENCE, _MAX_REAL = 5_000, 2_000
_MIN_REAL = 10


class RealismCallback(Callback):
    """Compare generated with validation cells at each validation; log ``realism_validation``.

    ``model.train(realism=...)`` makes it. It measures the cells that a user would get if training ended now, without the
    classifier's filter, as a classifier that has learned little rejects all cells. The run ends in the same model, bit for
    bit, as one without the callback. With fewer than ten labeled validation cells training raises a ValueError.

    Parameters
    ----------
    model, metric
        The :class:`~activa.ACTIVA` that is trained, with its data; and a key of :data:`activa.metrics.METRICS`. All are lower
        for better cells; ``"wasserstein"`` has no fixed floor.
    n_draws, seed
        Sets of cells, each of the validation cells' types, that the figure is the mean of, and their random seed.

    Examples
    --------
    >>> model.train(realism="mmd", early_stopping=True, early_stopping_monitor="realism_validation")  # doctest: +SKIP
    >>> model.history["realism_validation"]  # doctest: +SKIP
    """

    def __init__(self, model: Any, *, metric: RealismMetric = "mmd", n_draws: int = 4, seed: int = 0):
        check_choices(metric=(metric, RealismMetric))
        check_integers(n_draws=n_draws)
        self.model, self.metric, self.n_draws = model, metric, n_draws
        self.seed = check_seed(seed)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the training and the validation cells of this run."""
        splitter: Any = trainer.datamodule  # type: ignore[attr-defined]
        self._train_indices = np.sort(np.asarray(splitter.train_idx, dtype=int))
        self._real = self._read(np.asarray(splitter.val_idx, dtype=int), _MAX_REAL)
        if len(self._real) < _MIN_REAL:
            needed = f"realism needs at least {_MIN_REAL} labeled validation cells, got {len(self._real)}"
            raise ValueError(f"{needed}: give a smaller train_size or a larger validation_size.")
        self._space = Space(self._read(self._train_indices, _MAX_REFERENCE), self.seed)

    def _read(self, indices: np.ndarray, max_cells: int) -> Cells:
        """A subsample of the labeled cells at indices; labels are the codes of the types."""
        manager = self.model.adata_manager
        codes = np.asarray(manager.get_from_registry(REGISTRY_KEYS.LABELS_KEY)).ravel()[indices]
        labeled = codes < self.model.module.n_types
        indices, codes = indices[labeled], codes[labeled]
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
        """The figure for the current weights."""
        codes, module = self._real.types, self.model.module_if_training_ended(self._train_indices, self.seed)
        sampler = replace(self.model.make_sampler(), module=module)
        values = []
        for seed in range(self.seed, self.seed + self.n_draws):
            z = None
            if not module.knows_types:
                z = np.random.default_rng(seed).normal(size=(len(codes), module.n_latent))
            made = sampler.generate(labels=list(sampler.types[codes]), z=z, seed=seed)
            sets = self._space.project_together(self._real, self._cells(made.X, codes))
            values.append(_METRICS[self.metric](*sets, seed=self.seed))
        return float(np.mean(values))
