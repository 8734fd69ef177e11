"""Scores of cells against one split's test cells: what ``activa.metrics.evaluate`` gives as value, and as floor.

That function computes both; here real cells are scored once a split and not again beside every generator.
"""

from __future__ import annotations

import anndata as ad
import numpy as np
from _rare import rare_types
from scipy.sparse import csr_matrix

from activa.data import Cells, log_normalize, read_cells
from activa.metrics import METRICS, Comparison, label_fidelity
from activa.metrics.space import Space, same_size

RARE_RECALL = "rare_recall"
NAMES = [*METRICS, RARE_RECALL]


class Judge:
    """The cells of one split, and what all comparisons with its test cells share."""

    def __init__(self, parts: dict[str, ad.AnnData], labels_key: str, seed: int):
        self.labels_key, self.seed = labels_key, seed
        self._genes = parts["train"].var_names
        cells = read_cells(parts, labels_key=labels_key, layer=None, normalized=False)
        self.train, self.test, self.floor = (cells[name] for name in ("train", "test", "floor"))
        self.space = Space(self.train, seed)
        self._rare = rare_types(parts["train"].obs[labels_key])

    def read(self, adata: ad.AnnData) -> Cells:
        """Generated cells, with types if they have any: counts, or other values of any scale."""
        labels_key = self.labels_key if self.labels_key in adata.obs else None
        adata = adata[:, self._genes]
        x = csr_matrix(adata.X)
        if (x.data != np.rint(x.data)).any():
            labels = None if labels_key is None else adata.obs[labels_key].to_numpy(dtype=str)
            return Cells(log_normalize(x), None, labels)
        return read_cells({"synthetic": adata}, labels_key=labels_key, layer=None, normalized=False)["synthetic"]

    def score(self, cells: Cells, names: list[str]) -> dict[str, float]:
        """These metrics of the cells, in the place of the synthetic ones; NaN for those that need what they lack."""
        rng = np.random.default_rng(self.seed)
        test, made, _ = same_size([self.test, cells, self.floor], rng)
        comparison = Comparison(test, made, self.space, True, self.seed)
        scores = {}
        for name in names:
            lacking = {"labels", "two types"} if made.labels is None else set()
            lacking |= {"counts"} if made.counts is None else set()
            scores[name] = float("nan") if lacking & {*METRICS[name].needs} else METRICS[name].compute(comparison)
        return scores

    def rare_recall(self, *sets: Cells) -> float:
        """Share of the sets' cells of rare types that are recognized, by the classifier of label fidelity.

        Types are pooled; NaN without such cells.
        """
        found = [
            cells.take(np.flatnonzero(np.isin(cells.types, self._rare))) for cells in sets if cells.labels is not None
        ]
        if not sum(map(len, found)):
            return float("nan")
        components = np.vstack([self.space.project(cells) for cells in found if len(cells)])
        labels = np.concatenate([cells.types for cells in found])
        return label_fidelity(self.space.reference_components, self.train.types, components, labels, seed=self.seed)
