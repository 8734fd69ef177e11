"""What is asked of the data, before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import issparse

from activa.settings import COUNT_LIKELIHOODS, GeneLikelihood

RESERVED = ("_scvi_", "_activa_")  # what scvi-tools writes to obs, and columns of the design table
ROWS = 10_000  # read at a time, so that backed data are never whole in memory


def check_setup(
    adata: AnnData,
    *,
    layer: str | None,
    labels_key: str | None,
    batch_key: str | None,
    size_factor_key: str | None,
    categorical_covariate_keys: Sequence[str] | None,
    continuous_covariate_keys: Sequence[str] | None,
    unlabeled_category: str | None,
    is_new: bool,
    allow_missing_labels: bool = False,
) -> None:
    """Check the arguments of ``setup_anndata`` against the data.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData or its values are no numbers, a key is no string, or a list of keys none.
    KeyError
        If a key or layer is not in the data.
    ValueError
        If ``adata`` is a view, lazy or without cells, genes or values; if a column has missing values, values of several
        types or, where numbers are asked for, other values; or if it is scvi-tools' or named twice.
    """
    check_values_of(adata, layer=layer)
    if adata.is_view:
        raise ValueError(
            f"adata is a view of another AnnData ({adata.n_obs} cells x {adata.n_vars} genes), which nothing can be "
            "registered in: give adata.copy()."
        )
    if allow_missing_labels and unlabeled_category is not None and labels_key not in adata.obs:
        labels_key = unlabeled_category = None  # scvi-tools adds the column
    obs: Any = adata.obs
    check_columns(
        lambda _: ("adata", obs),
        labels_key=labels_key,
        batch_key=batch_key,
        size_factor_key=size_factor_key,
        categorical_covariate_keys=categorical_covariate_keys,
        continuous_covariate_keys=continuous_covariate_keys,
        unlabeled_category=unlabeled_category,
        is_new=is_new,
    )


def check_values_of(adata: Any, *, layer: str | None) -> None:
    """Check that there are cells, with numbers where they are looked for.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData, the layer's name no string, or the values no numbers.
    KeyError
        If it has not got the layer.
    ValueError
        If it has no cells, genes or values, or is lazy.
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"adata must be an AnnData, got {type(adata).__name__}.")
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise ValueError(f"adata must have cells and genes, got {adata.n_obs} cells x {adata.n_vars} genes.")
    if not isinstance(adata.obs, pd.DataFrame):
        raise ValueError(f"adata is lazy (obs is a {type(adata.obs).__name__}): give adata.to_memory().")
    if layer is not None:
        if not isinstance(layer, str):
            raise TypeError(f"layer must be the name of a layer, got {layer!r}.")
        if layer not in adata.layers:
            layers = [name for name in dict(adata.layers) if name is not None]  # anndata counts X among them
            raise KeyError(f"layer={layer!r} is not in adata.layers, which has {layers}: name one of these.")
    x: Any = adata.X if layer is None else adata.layers[layer]
    if x is None:
        raise ValueError("adata.X is None: name the layer of raw counts as layer= in setup_anndata.")
    _check_numbers(x, values_in(layer))


def _check_numbers(x: Any, where: str) -> None:
    if np.dtype(x.dtype).kind not in "biuf":
        raise TypeError(f"{where} must hold numbers, got dtype {x.dtype}: give raw counts as integers or floats.")
    if issparse(getattr(x, "_meta", None)):
        raise ValueError(
            f"{where} is a dask array of sparse blocks, which are not read in minibatches: give adata.to_memory()."
        )
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(
            f"{where} is a MaskedArray, whose hidden values would be read: give adata.X.filled(0), or drop them."
        )


def check_columns(
    find: Callable[[str], tuple[str, pd.DataFrame]],
    *,
    labels_key: str | None,
    batch_key: str | None,
    size_factor_key: str | None,
    categorical_covariate_keys: Sequence[str] | None,
    continuous_covariate_keys: Sequence[str] | None,
    unlabeled_category: str | None,
    is_new: bool,
) -> None:
    """Check the columns that are registered.

    Parameters
    ----------
    find
        Name of an argument -> what its columns are looked for in, in words, and its ``obs``.
    labels_key, batch_key, size_factor_key, categorical_covariate_keys, continuous_covariate_keys, unlabeled_category
        As of ``setup_anndata``.
    is_new
        Whether cells are registered for a new model, not for one that is there.

    Raises
    ------
    TypeError, KeyError, ValueError
        As of :func:`check_setup`.
    """
    covariates = {
        "categorical_covariate_keys": categorical_covariate_keys,
        "continuous_covariate_keys": continuous_covariate_keys,
    }
    for name, value in covariates.items():
        if isinstance(value, str):
            raise TypeError(f"{name} must be a list of obs columns, got the string {value!r}: write [{value!r}].")
        if value is not None and not isinstance(value, list):
            raise TypeError(f"{name} must be a list of obs columns, got {value!r}.")
    if unlabeled_category is not None and labels_key is None:
        raise ValueError(f"unlabeled_category={unlabeled_category!r} needs labels_key, the column that it is found in.")

    columns = {"labels_key": [labels_key], "batch_key": [batch_key], "size_factor_key": [size_factor_key]}
    columns |= {name: list(value or []) for name, value in covariates.items()}
    for name, keys in columns.items():
        for key in keys:
            if key is not None:
                numerical = name in ("size_factor_key", "continuous_covariate_keys")
                _check_column(*find(name), name, key, numerical=numerical)
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"{name} must name each column once, got {repeated}.")

    labels: Any = None if labels_key is None else find("labels_key")[1][labels_key]
    if unlabeled_category is not None and not np.isscalar(unlabeled_category):
        raise TypeError(f"unlabeled_category must be one value of labels_key, got {unlabeled_category!r}.")
    if is_new and unlabeled_category is not None and unlabeled_category not in set(labels):
        raise ValueError(
            f"unlabeled_category={unlabeled_category!r} is no value of labels_key={labels_key!r}, which has "
            f"{sorted(map(str, set(labels)))}: name the one that stands for no label, or leave it out."
        )
    if size_factor_key is not None and (np.asarray(find("size_factor_key")[1][size_factor_key]) <= 0).any():
        raise ValueError(f"size_factor_key={size_factor_key!r}: size factors must be positive.")
    if is_new and labels is not None and (np.asarray(labels) == unlabeled_category).all():
        raise ValueError(
            f"labels_key={labels_key!r}: every cell is {unlabeled_category!r}, the unlabeled_category. Leave labels_key "
            "out to train without labels."
        )


def _check_column(where: str, obs: pd.DataFrame, name: str, key: str, *, numerical: bool) -> None:
    if not isinstance(key, str):
        raise TypeError(f"{name} must be the name of a column of {where}.obs, got {key!r}.")
    if key not in obs:
        raise KeyError(
            f"{name}={key!r} is not a column of {where}.obs, which has {list(obs.columns)}: name one of these."
        )
    if key.startswith(RESERVED):
        raise ValueError(f"{name}={key!r}: names that begin with {list(RESERVED)} are bookkeeping: rename the column.")
    column = obs[key]
    n_missing = int(column.isna().sum())
    if n_missing:
        hint = " or name a category for them and give it as unlabeled_category" if name == "labels_key" else ""
        raise ValueError(
            f"{name}={key!r} is missing for {n_missing} of {len(column)} cells: leave those cells out{hint}."
        )
    if not numerical and (kinds := _kinds(column)):
        raise ValueError(
            f"{name}={key!r} has values of the types {kinds}, which have no order: make them strings, "
            f"{where}.obs[{key!r}].astype(str)."
        )
    if numerical and not (pd.api.types.is_numeric_dtype(column) and np.isfinite(np.asarray(column, dtype=float)).all()):
        raise ValueError(f"{name}={key!r} must hold finite numbers, got dtype {column.dtype}.")


def _kinds(column: pd.Series) -> list[str]:
    """Types of a column's values, where these cannot be sorted."""
    values: Any = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.drop_duplicates()
    try:
        sorted(values)
    except TypeError:
        return sorted({type(value).__name__ for value in values})
    return []


def check_values(
    x: Any, *, layer: str | None, gene_likelihood: GeneLikelihood, modality: str | None = None
) -> np.ndarray:
    """Check that the values are what the likelihood describes; gives each cell's total, ``(n_cells,)``, float64.

    They are named by their layer, and by their modality where they are of MuData.

    Raises
    ------
    TypeError
        If the values are no numbers.
    ValueError
        If there is no cell, or an empty one; if a value is negative or not finite, or for a count likelihood not whole.
    """
    where = values_in(layer, modality)
    hint = "layer= in setup_anndata" if modality is None else "rna_layer= in setup_mudata"
    if x.shape[0] == 0:
        raise ValueError("There is no cell to look at: give at least one.")
    _check_numbers(x, where)
    totals = []
    for start in range(0, x.shape[0], ROWS):
        rows = x[start : start + ROWS]
        values = rows.data if issparse(rows) else np.asarray(rows).ravel()
        if not np.isfinite(values).all():
            raise ValueError(f"{where} has values that are not finite (nan or inf): remove or replace them.")
        if (values < 0).any():
            raise ValueError(
                f"{where} has negative values (the smallest seen is {values.min():.4g}), so it is not counts. Give the "
                f"layer of raw counts as {hint}."
            )
        if gene_likelihood in COUNT_LIKELIHOODS:
            fractional = values[values != np.round(values)]
            if fractional.size:
                raise ValueError(
                    f"{where} has values that are not whole (for example {fractional[0]:.4g}), as normalized data do, and "
                    f"gene_likelihood={gene_likelihood!r} describes counts. Give the layer of raw counts as {hint}, "
                    "or use gene_likelihood='normal'."
                )
        totals.append(np.asarray(rows.sum(axis=1, dtype=np.float64)).ravel())
    total = np.concatenate(totals)
    if (total == 0).any():
        raise ValueError(
            f"{where} has {int((total == 0).sum())} cells without any counts: drop them with "
            f"scanpy.pp.filter_cells(adata, min_counts=1) before {hint.split()[-1]}."
        )
    return total


def values_in(layer: str | None, modality: str | None = None) -> str:
    """Where values are, in words."""
    cells = "adata" if modality is None else f"mdata[{modality!r}]"
    return f"{cells}.X" if layer is None else f"{cells}.layers[{layer!r}]"


def positions(indices: Any, n_cells: int) -> np.ndarray:
    """Positions of cells as an array, ``(n,)``.

    Raises
    ------
    TypeError
        If they are not a sequence of whole numbers, or of flags.
    ValueError
        If there are none, or not so many cells.
    """
    array = np.asarray(indices)
    if array.ndim and not array.size:
        raise ValueError("indices=[] has no cell: give at least one.")
    if not array.ndim or array.dtype.kind not in "biu":
        raise TypeError(f"indices must be a sequence of positions of cells, got {indices!r}.")
    if array.dtype.kind == "b" and array.shape == (n_cells,):
        return np.flatnonzero(array)
    if array.ndim > 1 or array.dtype.kind == "b" or array.max() >= n_cells or array.min() < -n_cells:
        raise ValueError(f"indices must be positions among the {n_cells} cells, or a flag for each, got {indices!r}.")
    return array % n_cells


def check_genes(adata: AnnData, trained: np.ndarray, *, where: str = "adata", what: str = "genes") -> None:
    """Check that the cells have the model's genes (or proteins), in its order.

    Raises
    ------
    ValueError
        If they have not.
    """
    found = adata.var_names.astype(str).to_numpy()
    if np.array_equal(found, trained):
        return
    missing = pd.Index(trained).difference(found)
    if len(missing) or len(found) != len(trained):
        raise ValueError(
            f"{where} has {len(found)} {what}, {len(missing)} of the model's {len(trained)} are not among them (for "
            f"example {list(missing[:3])}): give cells with the {what} that the model was trained on."
        )
    hint = "adata[:, model.get_var_names()]" if where == "adata" else "by model.get_var_names()"
    raise ValueError(f"{where} has the model's {what} in another order: reorder them, {hint}.")
