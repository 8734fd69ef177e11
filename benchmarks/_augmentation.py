"""The augmentation experiment with scVI among its controls, run by run, so that one that was cut off goes on."""

from __future__ import annotations

import time
import warnings
from itertools import product
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scvi
from scipy.sparse import csr_matrix

from activa.data import TARGET_SUM
from activa.experiments import augmentation
from activa.experiments.trainings import TYPE
from activa.scvi_private import split_seed
from activa.seeds import seeded

KEPT = (50, 20, 10, 5)


class ScviControls:
    """Cells from scVI's posterior at the kept cells, each used equally often: counts, or rates without counting noise."""

    def __init__(self, max_epochs: int | None = None):
        self.max_epochs = max_epochs
        self.seconds = 0.0
        """Seconds that the last model took to train. Both methods share it."""
        self._cells: ad.AnnData | None = None
        self._model: scvi.model.SCVI | None = None

    @property
    def methods(self) -> dict:
        """The methods by name."""
        return {"scvi_counts": self.counts, "scvi_rates": self.rates}

    def counts(self, cells: ad.AnnData, label: str, n: int, seed: int) -> csr_matrix:
        """Counts of the posterior predictive."""
        model, kept = self._trained(cells, seed), self._kept(cells, label, n)
        with seeded(seed):
            return csr_matrix(model.posterior_predictive_sample(indices=kept).to_scipy_sparse())

    def rates(self, cells: ad.AnnData, label: str, n: int, seed: int) -> csr_matrix:
        """Rates, scaled to 10,000 per cell."""
        model, kept = self._trained(cells, seed), self._kept(cells, label, n)
        with seeded(seed):
            return csr_matrix(model.get_normalized_expression(indices=kept, library_size=TARGET_SUM, return_numpy=True))

    def _kept(self, cells: ad.AnnData, label: str, n: int) -> np.ndarray:
        return np.resize(np.flatnonzero(cells.obs[TYPE] == label), n)

    def _trained(self, cells: ad.AnnData, seed: int) -> scvi.model.SCVI:
        """scVI with its defaults, trained on all the cells that ACTIVA is trained on."""
        if self._cells is not cells:
            start = time.perf_counter()
            with seeded(seed), split_seed(seed), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
                scvi.model.SCVI.setup_anndata(cells)
                self._model = scvi.model.SCVI(cells)
                # no validation, which would hold out some of the few cells
                self._model.train(self.max_epochs, train_size=1.0, enable_progress_bar=False, log_every_n_steps=1)
            self._cells, self.seconds = cells, time.perf_counter() - start
        return self._model


def augment(
    adata: ad.AnnData, labels_key: str, path: Path, n_seeds: int, scvi_epochs: int | None = None, **kwargs
) -> pd.DataFrame:
    """All rows; those of each seed and number kept are written to the file as they come, and not computed again."""
    table = pd.read_csv(path, comment="#") if path.exists() else pd.DataFrame(columns=["seed", "kept"])
    for seed, kept in product(range(n_seeds), KEPT):
        if ((table["seed"] == seed) & (table["kept"] == kept)).any():
            continue
        controls = ScviControls(scvi_epochs)
        rows = augmentation(adata, labels_key=labels_key, keep=(kept,), seeds=[seed], custom=controls.methods, **kwargs)
        rows.loc[rows["method"] == "scvi_rates", "seconds"] += controls.seconds
        table = pd.concat([table, rows], ignore_index=True) if len(table) else rows
        partial = path.with_suffix(".partial")
        table.to_csv(partial, index=False)
        partial.rename(path)
    return table
