"""Checks of values, genes, cells and registered columns, before any work starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse import issparse

from activa.settings import COUNT_LIKELIHOODS, GeneLikelihood, ProteinLikelihood

_ROWS = 10_000


def row_slices(n_cells: int) -> Iterator[slice]:
    """Slices of at most 10,000 rows, so that backed data are never whole in memory."""
    return (slice(start, start + _ROWS) for start in range(0, n_cells, _ROWS))


def modality_of(mdata: MuData, name: str, argument: str = "modalities") -> AnnData:
    """A modality of MuData; a KeyError names the argument that asks for it if it does not exist."""
    if name not in mdata.mod:
        raise KeyError(f"{argument}={name!r} is not in mdata, which has {list(mdata.mod)}.")
    return mdata[name]


def genes_of(cells: Any, modalities: tuple[str, str] | None) -> AnnData:
    """The AnnData of the genes: the cells themselves, or the first of the modalities (genes, proteins) of MuData."""
    if not isinstance(cells, MuData):
        return cells
    if modalities is None:
        raise TypeError("The cells are MuData, and the model was made of AnnData: give the modality of the genes.")
    return modality_of(cells, modalities[0])


def check_values_of(adata: Any, *, layer: str | None) -> None:
    """Check that ``adata`` is an AnnData in memory (or backed) with cells, genes, and numbers in ``X`` or the layer."""
    if not issubclass(type(adata), AnnData):  # a collection of AnnData claims to be one
        files = ": read files as one by setup_annbatch(paths=...), or join them by anndata.experimental.concat_on_disk"
        hint = files if isinstance(adata, AnnData) else ""
        raise TypeError(f"adata must be an AnnData, got {type(adata).__name__}{hint}.")
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise ValueError(f"adata must have cells and genes, got {adata.n_obs} cells x {adata.n_vars} genes.")
    if not isinstance(adata.obs, pd.DataFrame):
        raise ValueError(f"adata is lazy (obs is a {type(adata.obs).__name__}): give adata.to_memory().")
    if layer is not None:
        if not isinstance(layer, str):
            raise TypeError(f"layer must be the name of a layer, got {layer!r}.")
        if layer not in adata.layers:
            layers = [name for name in dict(adata.layers) if name is not None]  # anndata lists X too
            raise KeyError(f"layer={layer!r} is not in adata.layers, which has {layers}: name one of these.")
    x: Any = adata.X if layer is None else adata.layers[layer]
    if x is None:
        raise ValueError("adata.X is None: name the layer of raw counts as layer= in setup_anndata.")
    _check_numbers(x, values_in(layer))


def _check_numbers(x: Any, where: str) -> None:
    if np.dtype(x.dtype).kind not in "biuf":
        raise TypeError(f"{where} must hold numbers, got dtype {x.dtype}: give raw counts as integers or floats.")
    if issparse(getattr(x, "_meta", None)):
        raise ValueError(f"{where} is a dask array of sparse blocks, which are not supported: give adata.to_memory().")
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(f"{where} is a MaskedArray, whose masked values would be read: give {where}.filled(0).")


def check_values(
    x: Any,
    *,
    layer: str | None,
    gene_likelihood: GeneLikelihood,
    modality: str | None = None,
    cells: AnnData | None = None,
) -> np.ndarray:
    """Check that the values suit the likelihood, and that no cell is empty; returns totals, float64 ``(n_cells,)``.

    If they do not, the error says where else in ``cells``, whose values they are, there are counts.
    """
    where = values_in(layer, modality)
    argument = "layer= in setup_anndata" if modality is None else "rna_layer= in setup_mudata"
    if x.shape[0] == 0:
        raise ValueError("No cells were given: give at least one.")
    _check_numbers(x, where)
    totals = []
    for part in row_slices(x.shape[0]):
        rows = x[part]
        values = rows.data if issparse(rows) else np.asarray(rows).ravel()
        if not np.isfinite(values).all():
            raise ValueError(f"{where} has values that are not finite (nan or inf): remove or replace them.")
        if (values < 0).any():
            hint = _other_counts(cells, argument) or f"give raw counts as {argument}"
            raise ValueError(f"{where} has negative values, got {values.min():.4g}: {hint}.")
        if gene_likelihood in COUNT_LIKELIHOODS and (fractional := values[values != np.round(values)]).size:
            hint = _other_counts(cells, argument) or f"give counts as {argument}, or use gene_likelihood='normal'"
            given = f"got {fractional[0]:.4g} with gene_likelihood={gene_likelihood!r}"
            raise ValueError(f"{where} has values that are not whole, {given}: {hint}.")
        totals.append(np.asarray(rows.sum(axis=1, dtype=np.float64)).ravel())
    total = np.concatenate(totals)
    if n_empty := int((total == 0).sum()):
        raise ValueError(f"{where} has {n_empty} cells without any counts: drop them by scanpy.pp.filter_cells.")
    return total


def _other_counts(cells: AnnData | None, argument: str) -> str:
    """Advice that names a layer with counts, or ``raw``; empty if there is none."""
    if cells is None:
        return ""
    for name in dict(cells.layers):
        if name is not None and _are_counts(cells.layers[name]):  # anndata lists X too
            name_argument, _, method = argument.partition("=")
            return f"adata.layers[{name!r}] has counts, give {name_argument}={name!r}{method}"
    if cells.raw is not None and _are_counts(cells.raw.X):
        return "adata.raw has counts, use adata.raw.to_adata()"
    return ""


def _are_counts(x: Any) -> bool:
    """Whether the first cells have whole numbers that are not negative, and not only zeros."""
    rows = x[:_ROWS]
    values = rows.data if issparse(rows) else np.asarray(rows).ravel()
    return bool(values.any() and (values >= 0).all() and (values == np.round(values)).all())


def check_proteins(
    values: np.ndarray, likelihood: ProteinLikelihood | None, *, layer: str | None, modality: str
) -> ProteinLikelihood:
    """Check that values suit the proteins' likelihood; returns it, or for None the one that they suit."""
    where = values_in(layer, modality)
    if not np.isfinite(values).all():
        raise ValueError(f"{where} has values that are not finite (nan or inf): remove or replace them.")
    unfit = values[(values < 0) | (values != np.round(values))]
    if likelihood == "nb" and unfit.size:
        raise ValueError(
            f"{where} has values that are not counts, got {unfit[0]:.4g}, which protein_likelihood='nb' describes: give raw "
            "counts as protein_layer= in setup_mudata, or use protein_likelihood='normal'."
        )
    if likelihood == "normal" and not unfit.size:
        raise ValueError(f"{where} has whole counts only: use protein_likelihood='nb', or give normalized values.")
    return likelihood or ("normal" if unfit.size else "nb")


def values_in(layer: str | None, modality: str | None = None) -> str:
    """Name of the values in error messages."""
    cells = "adata" if modality is None else f"mdata[{modality!r}]"
    return f"{cells}.X" if layer is None else f"{cells}.layers[{layer!r}]"


def positions(indices: Any, n_cells: int) -> np.ndarray:
    """Positions of cells, from positions (negative ones count from the end) or from one flag per cell, ``(n,)``."""
    array = np.asarray(indices)
    if array.ndim and not array.size:
        raise ValueError("indices=[] has no cell: give at least one.")
    if not array.ndim or array.dtype.kind not in "biu":
        raise TypeError(f"indices must be a sequence of positions of cells, got {indices!r}.")
    if array.dtype.kind == "b" and array.shape == (n_cells,):
        return np.flatnonzero(array)
    if array.ndim > 1 or array.dtype.kind == "b" or array.max() >= n_cells or array.min() < -n_cells:
        raise ValueError(f"indices must be positions among the {n_cells} cells, or one flag per cell, got {indices!r}.")
    return array % n_cells


def check_genes(adata: AnnData, trained: np.ndarray, *, where: str = "adata", what: str = "genes") -> None:
    """Check that cells have the model's genes (or proteins) in its order; a ValueError names what differs."""
    found = adata.var_names.astype(str).to_numpy()
    if np.array_equal(found, trained):
        return
    missing = pd.Index(trained).difference(found)
    if len(missing) or len(found) != len(trained):
        raise ValueError(
            f"{where} has {len(found)} {what}, {len(missing)} of the model's {len(trained)} are not among them "
            f"({list(missing[:3])}): give cells with the {what} that the model was trained on."
        )
    hint = "adata[:, model.get_var_names()]" if where == "adata" else "by model.get_var_names()"
    raise ValueError(f"{where} has the model's {what} in another order: reorder them, {hint}.")


def check_mudata(cells: Any, modalities: tuple[str, str], genes: np.ndarray, proteins: np.ndarray) -> None:
    """Check that cells are MuData with the model's genes and proteins, in its order."""
    if not isinstance(cells, MuData):
        raise TypeError(f"The model was made of MuData: give the cells as MuData, got {type(cells).__name__}.")
    for name, trained, what in zip(modalities, (genes, proteins), ("genes", "proteins"), strict=True):
        check_genes(modality_of(cells, name), trained, where=f"mdata[{name!r}]", what=what)
