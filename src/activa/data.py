"""Sets of cells as the metrics, plots and reports read them: checked, log-normalized, subsampled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import ArrayLike
from scipy.sparse import csr_matrix, vstack

TARGET_SUM = 1e4


@dataclass(frozen=True, eq=False)
class Cells:
    """One set of cells, as the metrics need it."""

    log_expression: csr_matrix  # log1p of counts scaled to 10,000 per cell, cells x genes
    counts: csr_matrix | None  # cells x genes; None if only log-normalized values are known
    labels: np.ndarray | None  # types as strings, one per cell; None without a labels_key

    @property
    def types(self) -> np.ndarray:
        """The labels; a ValueError if the cells have none."""
        if self.labels is None:
            raise ValueError("these cells have no labels; give labels_key when they are read.")
        return self.labels

    @property
    def raw_counts(self) -> csr_matrix:
        """The counts; a ValueError if only log-normalized values are known."""
        if self.counts is None:
            raise ValueError("these cells have no counts; read them with normalized=False.")
        return self.counts

    def __len__(self) -> int:
        return self.log_expression.shape[0]

    def subsample(self, size: int, rng: np.random.Generator) -> Self:
        """At most ``size`` cells, each type in proportion. A set that is small enough is returned itself."""
        return self if size >= len(self) else self.take(subsample(len(self), size, rng, self.labels))

    def take(self, cells: np.ndarray) -> Self:
        """The cells at these indices."""
        return replace(
            self,
            log_expression=self.log_expression[cells],
            counts=None if self.counts is None else self.counts[cells],
            labels=None if self.labels is None else self.labels[cells],
        )

    def concatenate(self, other: Self) -> Self:
        """These cells followed by others with the same genes and the same kinds of values."""
        return replace(
            self,
            log_expression=vstack([self.log_expression, other.log_expression], format="csr"),
            counts=None if self.counts is None else vstack([self.counts, other.counts], format="csr"),
            labels=None if self.labels is None else np.concatenate([self.labels, other.types]),
        )


def log_normalize(counts: csr_matrix) -> csr_matrix:
    """Copy of the counts as log1p of counts scaled to 10,000 per cell; an empty cell stays empty.

    Bit for bit what scanpy's ``normalize_total`` and ``log1p`` give, which are not called because their numba kernel sets
    the number of PyTorch's threads of the calling thread, and cells are drawn in threads.
    """
    x = csr_matrix(counts, dtype=np.float32, copy=True)
    scale = np.asarray(x.sum(axis=1)).ravel() / TARGET_SUM
    x.data /= np.repeat(np.where(scale == 0, 1, scale).astype(np.float32), np.diff(x.indptr))
    np.log1p(x.data, out=x.data)
    return x


def strings(adata: AnnData, key: str | None) -> np.ndarray | None:
    """A column of ``obs`` as strings; None without a key."""
    return None if key is None else np.asarray(adata.obs[key], dtype=str)


def check_labels(name: str, adata: AnnData, key: str, argument: str = "labels_key") -> None:
    """Raise a TypeError, KeyError or ValueError unless ``obs`` has this column, with a value for every cell."""
    if not isinstance(key, str):
        raise TypeError(f"{argument} must be the name of a column of obs, got {key!r}.")
    if key not in adata.obs:
        raise KeyError(f"{argument} {key!r} is not in {name}.obs, which has {list(adata.obs.columns)}.")
    if missing := int(adata.obs[key].isna().sum()):
        raise ValueError(f"{argument}={key!r} is missing for {missing} of {adata.n_obs} cells of {name}: label them.")


def check_genes(name: str, var_names: pd.Index, first: str, expected: pd.Index) -> None:
    """Raise a ValueError unless a set has exactly the genes of the first set, in any order."""
    if not var_names.is_unique:
        raise ValueError(f"{name}.var_names must be unique; rename the repeated genes in every set alike.")
    shared = len(var_names.intersection(expected))
    if not shared == len(var_names) == len(expected):
        sizes = f"{len(var_names)} in {name} and {len(expected)} in {first}"
        raise ValueError(f"{name} must have the genes of {first}: by var_names {shared} are in both, of {sizes}.")


def check_sets(sets: dict[str, AnnData], labels_key: str | None, layer: str | None) -> None:
    """Raise the error that :func:`~activa.metrics.evaluate` documents if a set lacks its types, layer or genes."""
    for name, adata in sets.items():
        if not isinstance(adata, AnnData):
            raise TypeError(f"{name} must be an AnnData, got {type(adata).__name__}.")
    if layer is not None and not isinstance(layer, str):
        raise TypeError(f"layer must be the name of a layer, got {layer!r}.")
    first, expected = next((name, adata.var_names) for name, adata in sets.items())
    for name, adata in sets.items():
        if layer is not None and layer not in adata.layers:
            # anndata lists X among the layers, under the key None.
            known = [key for key in dict(adata.layers) if key is not None]
            raise KeyError(f"layer {layer!r} is not in {name}.layers, which has {known}.")
        values: Any = adata.X if layer is None else adata.layers[layer]
        if adata.n_obs == 0:
            raise ValueError(f"{name} has no cells (n_obs=0); give at least one.")
        if values is None:
            raise ValueError(f"{name}.X is None; give counts in X, or name the layer that has them.")
        if np.dtype(values.dtype).kind not in "biuf":
            raise TypeError(f"{name} must hold numbers, got dtype {values.dtype}; give counts as integers or floats.")
        if labels_key is not None:
            check_labels(name, adata, labels_key)
        check_genes(name, adata.var_names, first, expected)


def _check_values(name: str, values: csr_matrix, normalized: bool) -> None:
    """Raise a ValueError unless the values are counts, or log-normalized values if ``normalized``."""
    data = values.data
    if not np.isfinite(data).all():
        raise ValueError(f"{name} holds values that are not finite; remove or replace them.")
    if (data < 0).any():
        kind = "log-normalized values" if normalized else "counts"
        raise ValueError(f"{name} holds negative values (smallest {data.min():.3g}), not {kind}; give unscaled data.")
    fractions = data[data != np.rint(data)]
    if not normalized and fractions.size:
        raise ValueError(
            f"{name} holds values that are not whole ({fractions[0]:.3g}) and therefore no counts: name the layer that "
            "has the counts, or give normalized=True if every set holds log1p of counts scaled to 10,000 per cell."
        )
    if normalized and values.nnz and not fractions.size:
        raise ValueError(f"{name} holds whole counts, but normalized=True: log-normalize all sets, or give counts.")


def read_cells(
    sets: dict[str, AnnData], *, labels_key: str | None, layer: str | None, normalized: bool
) -> dict[str, Cells]:
    """Read checked sets, with the genes in the order of the first set. The sets are not changed."""
    expected = next(iter(sets.values())).var_names
    values = {}
    for name, adata in sets.items():
        loaded = adata.to_memory() if adata.isbacked else adata
        values[name] = csr_matrix(loaded.X if layer is None else loaded.layers[layer])
        _check_values(name if layer is None else f"{name}.layers[{layer!r}]", values[name], normalized)

    cells = {}
    for name, adata in sets.items():
        same_order = adata.var_names.equals(expected)
        ordered = values[name] if same_order else values[name][:, adata.var_names.get_indexer(expected)]
        log_expression = ordered.astype(np.float32) if normalized else log_normalize(ordered)
        cells[name] = Cells(log_expression, None if normalized else ordered, strings(adata, labels_key))
    return cells


def _shuffle_by_type(n_cells: int, labels: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    """Cells in random order, but with the cells of each type next to each other."""
    order = rng.permutation(n_cells)
    return order if labels is None else order[np.argsort(labels[order], kind="stable")]


def subsample(n_cells: int, size: int, rng: np.random.Generator, labels: np.ndarray | None = None) -> np.ndarray:
    """Sorted indices of at most ``size`` of ``n_cells`` cells, each type in proportion (to within one cell)."""
    if size >= n_cells:
        return np.arange(n_cells)
    # Evenly spaced picks from cells sorted by type keep the proportions; the random offset gives rare types a chance.
    picks = ((np.arange(size) + rng.random()) * n_cells / size).astype(int)
    return np.sort(_shuffle_by_type(n_cells, labels, rng)[picks])


def folds(n_cells: int, n_folds: int, rng: np.random.Generator, labels: np.ndarray | None = None) -> list[np.ndarray]:
    """Sorted indices of ``n_folds`` parts of the cells, each type split evenly (to within one cell)."""
    order = _shuffle_by_type(n_cells, labels, rng)
    return [np.sort(order[fold::n_folds]) for fold in range(n_folds)]


def halves(n_cells: int, rng: np.random.Generator, labels: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Sorted indices of two halves of the cells, each type split evenly (to within one cell)."""
    first, second = folds(n_cells, 2, rng, labels)
    return first, second


def as_pair(
    first: ArrayLike, second: ArrayLike, min_cells: int = 2, names: tuple[str, str] = ("real", "synthetic")
) -> tuple[np.ndarray, np.ndarray]:
    """Both sets as finite float64 matrices with the same columns and enough cells, or a ValueError."""
    sets = [np.asarray(cells, dtype=np.float64) for cells in (first, second)]
    for name, cells in zip(names, sets, strict=True):
        if cells.ndim != 2:
            raise ValueError(f"{name} must be a matrix of cells x features, got {cells.ndim} dimension(s).")
        if len(cells) < min_cells:
            raise ValueError(f"{name} has {len(cells)} cell(s); give at least {min_cells}.")
        if not np.isfinite(cells).all():
            raise ValueError(f"{name} has values that are not finite; remove or replace them.")
    check_columns(sets[0], sets[1], names=names)
    return sets[0], sets[1]


def check_columns(
    first: Any, second: Any, kind: str = "features", names: tuple[str, str] = ("real", "synthetic")
) -> None:
    """Raise a ValueError unless both matrices have the same number of columns."""
    if first.shape[1] != second.shape[1]:
        found = f"{first.shape[1]} {kind} and {names[1]} {second.shape[1]}"
        raise ValueError(f"{names[0]} has {found}; give the same {kind}.")


def as_labels(name: str, labels: ArrayLike, n_cells: int) -> np.ndarray:
    """The labels as an array with one label per cell, or a ValueError."""
    labels = np.asarray(labels)
    if labels.shape != (n_cells,):
        raise ValueError(f"{name} must hold one label per cell ({n_cells}), got shape {labels.shape}.")
    return labels
