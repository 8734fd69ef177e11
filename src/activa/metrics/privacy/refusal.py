"""Refusal of synthetic cells that are too close to training cells."""

from __future__ import annotations

import numpy as np
from anndata import AnnData
from scipy.sparse import csr_matrix
from sklearn.neighbors import NearestNeighbors

from activa.arguments import check_integers, check_numbers
from activa.data import Cells, check_genes, check_sets, log_normalize, read_cells
from activa.metrics.copying import is_copied
from activa.metrics.space import Space
from activa.seeds import MAX_SEED


class TooClose:
    """Which cells are closer to a training cell than real held-out cells are.

    A cell is refused if the distance to its nearest training cell is below a quantile of these distances of held-out
    cells: those of its type if there are enough, otherwise all. Distances are Euclidean, of log1p of counts scaled to
    10,000, in 50 principal components fitted to the training cells. :meth:`activa.ACTIVA.generate` takes it as
    ``refuse`` and draws other cells in place of the refused ones; :func:`refuse_close` drops cells of any generator.

    .. warning::
        This keeps near-copies of single cells from being published. It is not differential privacy and does not protect
        membership: many cells together reveal more than each alone, and cells that are only partly alike are not seen.
        The gap that refusal leaves around training cells is itself a trace of them, and so is the choice by held-out
        cells.

    Parameters
    ----------
    train, held_out, layer, seed
        As in :func:`activa.metrics.privacy.evaluate`, which raises the same errors; neither set may be log-normalized.
    quantile, labels_key
        Share of held-out cells that would be refused, and so about the share that a perfect generator loses (fewer may
        be among the training cells); column of ``obs`` with the types, in both sets. Types with at least 1 /
        ``quantile`` held-out cells get their own threshold.

    Examples
    --------
    >>> refuse = activa.metrics.privacy.TooClose(train, held_out, labels_key="cell_type")  # doctest: +SKIP
    >>> model.generate(1000, refuse=refuse, seed=0)  # doctest: +SKIP
    """

    def __init__(
        self,
        train: AnnData,
        held_out: AnnData,
        *,
        quantile: float = 0.05,
        labels_key: str | None = None,
        layer: str | None = None,
        seed: int = 0,
    ) -> None:
        check_numbers(above=0, below=1, quantile=quantile)
        check_integers(least=0, most=MAX_SEED, seed=seed)
        sets = {"train": train, "held_out": held_out}
        check_sets(sets, labels_key, layer)
        least = int(np.ceil(1 / quantile))
        if held_out.n_obs < least:
            raise ValueError(f"held_out has {held_out.n_obs} cells; quantile={quantile} needs at least {least}.")
        cells = read_cells(sets, labels_key=labels_key, layer=layer, normalized=False)
        self.quantile, self.labels_key = quantile, labels_key
        self.genes = train.var_names.copy()
        """Names of the genes, in the order of ``train``."""
        self._space = Space(cells["train"], seed)
        components = self._space.reference_components
        self._neighbors = NearestNeighbors(n_neighbors=1).fit(components)
        distances = self._to_train(cells["held_out"])
        self.threshold = float(np.quantile(distances, quantile))
        """Smallest distance that is kept, for types without their own threshold."""
        if is_copied(self.threshold, components):
            raise ValueError(f"a share {quantile} of held_out is found in train: give real cells that are not in it.")
        self.thresholds: dict[str, float] = {}
        """Smallest distance that is kept, by type."""
        if labels_key is not None:
            types, n_cells = np.unique(cells["held_out"].types, return_counts=True)
            for name in types[n_cells >= least]:
                of_type = distances[cells["held_out"].types == name]
                self.thresholds[str(name)] = float(np.quantile(of_type, quantile))

    def _to_train(self, cells: Cells) -> np.ndarray:
        return self._neighbors.kneighbors(self._space.project(cells))[0].ravel()

    def distances(self, cells: AnnData, *, layer: str | None = None) -> np.ndarray:
        """Distance of each cell (counts, genes in any order) to its nearest training cell, ``(n_cells,)``."""
        return self._to_train(self._read(cells, layer))

    def refuses(self, cells: AnnData, *, layer: str | None = None) -> np.ndarray:
        """Which cells (with types in ``obs[labels_key]`` if that was given) are too close, boolean, ``(n_cells,)``."""
        return self._refuses(self._read(cells, layer))

    def refuses_counts(self, counts: csr_matrix, labels: np.ndarray) -> np.ndarray:
        """Like :meth:`refuses`, for checked counts with the genes in order, and types as strings."""
        return self._refuses(Cells(log_normalize(counts), counts, labels))

    def _read(self, cells: AnnData, layer: str | None) -> Cells:
        check_sets({"cells": cells}, self.labels_key, layer)
        check_genes("cells", cells.var_names, "train", self.genes)
        sets = {"cells": cells[:, self.genes]}
        return read_cells(sets, labels_key=self.labels_key, layer=layer, normalized=False)["cells"]

    def _refuses(self, cells: Cells) -> np.ndarray:
        limits = np.full(len(cells), self.threshold)
        if cells.labels is not None:
            for name, threshold in self.thresholds.items():
                limits[cells.labels == name] = threshold
        return self._to_train(cells) < limits


def refuse_close(
    synthetic: AnnData,
    train: AnnData,
    held_out: AnnData,
    *,
    quantile: float = 0.05,
    labels_key: str | None = None,
    layer: str | None = None,
    seed: int = 0,
) -> AnnData:
    """Copy of the synthetic cells of any generator without those that :class:`TooClose` refuses.

    Its genes are those of ``train``, in any order. Arguments and errors are those of :class:`TooClose`, which says what
    this protects from, and what not; and a ValueError if no cell is kept. The proportions of types may change.

    Examples
    --------
    >>> kept = refuse_close(synthetic, train, held_out, labels_key="cell_type")  # doctest: +SKIP
    >>> 1 - kept.n_obs / synthetic.n_obs  # share that was refused  # doctest: +SKIP
    """
    check_sets({"train": train, "held_out": held_out, "synthetic": synthetic}, labels_key, layer)
    too_close = TooClose(train, held_out, quantile=quantile, labels_key=labels_key, layer=layer, seed=seed)
    refused = too_close.refuses(synthetic, layer=layer)
    if refused.all():
        raise ValueError(f"all {len(refused)} synthetic cells are closer to train than held_out allows; give others.")
    return synthetic[~refused].copy()
