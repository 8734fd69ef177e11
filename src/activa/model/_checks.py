"""What is asked of the data, before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from scipy.sparse import issparse

from activa.module._cells import COUNT_LIKELIHOODS, GeneLikelihood

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
        If ``adata`` is not an AnnData, or a list of keys is a string.
    KeyError
        If a key or layer is not in the data.
    ValueError
        If a column has missing values or, where numbers are asked for, other values.
    """
    if not isinstance(adata, AnnData):
        raise TypeError(f"adata must be an AnnData, got {type(adata).__name__}.")
    if adata.n_obs == 0 or adata.n_vars == 0:
        raise ValueError(f"adata must have cells and genes, got {adata.n_obs} cells x {adata.n_vars} genes.")
    if layer is not None and layer not in adata.layers:
        raise KeyError(f"layer={layer!r} is not in adata.layers, which has {list(dict(adata.layers))}.")
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
    if unlabeled_category is not None and labels_key is None:
        raise ValueError(f"unlabeled_category={unlabeled_category!r} needs labels_key, the column that it is found in.")

    columns = {"labels_key": [labels_key], "batch_key": [batch_key], "size_factor_key": [size_factor_key]}
    columns |= {name: list(value or []) for name, value in covariates.items()}
    for name, keys in columns.items():
        for key in keys:
            if key is not None:
                numerical = name in ("size_factor_key", "continuous_covariate_keys")
                _check_column(*find(name), name, key, numerical=numerical)

    labels: Any = None if labels_key is None else find("labels_key")[1][labels_key]
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
    if key not in obs:
        raise KeyError(f"{name}={key!r} is not a column of {where}.obs, which has {list(obs.columns)}.")
    column = obs[key]
    n_missing = int(column.isna().sum())
    if n_missing:
        hint = " or name a category for them and give it as unlabeled_category" if name == "labels_key" else ""
        raise ValueError(
            f"{name}={key!r} is missing for {n_missing} of {len(column)} cells: leave those cells out{hint}."
        )
    if numerical and not (pd.api.types.is_numeric_dtype(column) and np.isfinite(np.asarray(column, dtype=float)).all()):
        raise ValueError(f"{name}={key!r} must hold finite numbers, got dtype {column.dtype}.")


def check_values(
    x: Any, *, layer: str | None, gene_likelihood: GeneLikelihood, modality: str | None = None
) -> np.ndarray:
    """Check that the values are what the likelihood describes; gives each cell's total, ``(n_cells,)``, float64.

    They are named by their layer, and by their modality where they are of MuData.

    Raises
    ------
    ValueError
        If there is no cell, or an empty one; if a value is negative or not finite, or for a count likelihood not whole.
    """
    where = values_in(layer, modality)
    hint = "layer= in setup_anndata" if modality is None else "rna_layer= in setup_mudata"
    if x.shape[0] == 0:
        raise ValueError("There is no cell to look at: give at least one.")
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
                    f"{where} has values that are not whole (for example {fractional[0]:.4g}), as normalised data do, and "
                    f"gene_likelihood={gene_likelihood!r} describes counts. Give the layer of raw counts as {hint}, "
                    "or use gene_likelihood='normal'."
                )
        totals.append(np.asarray(rows.sum(axis=1), dtype=np.float64).ravel())
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
