"""Checks of values, genes, cells and registered columns, before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse import issparse

from activa.settings import COUNT_LIKELIHOODS, GeneLikelihood, ProteinLikelihood

_ROWS = 10_000
_RESERVED = ("_scvi_", "_activa_")  # what scvi-tools adds to obs, and columns of the design table
_UNWRITABLE = ("", "_index")  # with names that have a slash, what anndata does not write
# more types than half of the cells are no types, unless these few are an example
_MAX_TYPES_OF_FEW_CELLS = 20
_LAYERS = ("rna_layer", "protein_layer")
_ONE_COLUMN = ("labels_key", "batch_key", "size_factor_key")
_NUMBERS = ("size_factor_key", "continuous_covariate_keys")
_COLUMN_LISTS = ("categorical_covariate_keys", "continuous_covariate_keys")
_Find = Callable[[str], tuple[str, pd.DataFrame]]
"""Name of a set-up argument -> name and ``obs`` of the object that has its columns."""


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


@dataclass(frozen=True)
class Columns:
    """The columns of ``obs`` that are registered, as the arguments of ``setup_anndata`` name them."""

    labels_key: str | None = None
    batch_key: str | None = None
    size_factor_key: str | None = None
    categorical_covariate_keys: list[str] | None = None
    continuous_covariate_keys: list[str] | None = None
    unlabeled_category: str | None = None

    @classmethod
    def of(cls, setup_args: Mapping[str, Any]) -> Self:
        """The columns among all arguments of a set-up method."""
        return cls(**{field.name: setup_args[field.name] for field in fields(cls)})

    @property
    def keys(self) -> dict[str, list[str]]:
        """Argument -> columns it names; a TypeError names a list of columns that is not a list."""
        found = {name: [] if (key := getattr(self, name)) is None else [key] for name in _ONE_COLUMN}
        for name in _COLUMN_LISTS:
            keys = getattr(self, name)
            if keys is not None and not isinstance(keys, list):
                hint = f": write [{keys!r}]" if isinstance(keys, str) else ""
                raise TypeError(f"{name} must be a list of obs columns, got {keys!r}{hint}.")
            found[name] = list(keys or [])
        return found


def check_setup(
    adata: Any, columns: Columns, *, layer: str | None, is_new: bool, allow_missing_labels: bool = False
) -> None:
    """Check the arguments of ``setup_anndata``, for a new model (``is_new``) or a trained one."""
    check_values_of(adata, layer=layer)
    if adata.is_view:
        raise ValueError("adata is a view of another AnnData, which cannot be registered: give adata.copy().")
    if allow_missing_labels and columns.unlabeled_category is not None and columns.labels_key not in adata.obs:
        columns = replace(columns, labels_key=None, unlabeled_category=None)  # scvi-tools adds the column
    _check_columns(lambda _: ("adata", adata.obs), columns, is_new=is_new)
    _check_unique(adata, "adata")


def check_setup_mudata(
    mdata: Any, columns: Columns, *, layers: Mapping[str, str | None], modalities: Mapping[str, str], is_new: bool
) -> None:
    """Check the arguments of ``setup_mudata``; ``modalities`` maps arguments to modalities."""
    if not isinstance(mdata, MuData):
        raise TypeError(f"mdata must be a MuData, got {type(mdata).__name__}. For AnnData, use setup_anndata.")
    keys = columns.keys
    if unknown := set(modalities) - {*_LAYERS, *keys}:
        raise ValueError(f"modalities names {sorted(unknown)}, which are not among {[*_LAYERS, *keys]}.")
    found = {name: modality_of(mdata, key, f"modalities[{name!r}]") for name, key in modalities.items()}
    if modalities["rna_layer"] == modalities["protein_layer"]:
        raise ValueError(f"modalities: genes and proteins are both {modalities['rna_layer']!r}: name one for each.")
    for argument, layer in layers.items():
        _check_modality(mdata, found[argument], f"mdata[{modalities[argument]!r}]", argument, layer)

    def find(argument: str) -> tuple[str, Any]:
        return (f"mdata[{modalities[argument]!r}]", found[argument].obs) if argument in found else ("mdata", mdata.obs)

    elsewhere = {key: name for name, other in reversed(mdata.mod.items()) for key in other.obs}
    _check_columns(find, columns, is_new=is_new, elsewhere=elsewhere)


def _check_modality(mdata: MuData, cells: AnnData, where: str, argument: str, layer: str | None) -> None:
    if cells.n_obs == 0 or cells.n_vars == 0:
        raise ValueError(f"{where} must have cells and variables, got shape {cells.shape}.")
    if not cells.obs_names.equals(mdata.obs_names):
        raise ValueError(f"{where} must have the cells of mdata, in the order of its obs_names (mudata.intersect_obs).")
    if layer is not None and layer not in cells.layers:
        raise KeyError(f"{argument}={layer!r} is not in {where}.layers, which has {list(dict(cells.layers))}.")
    _check_unique(cells, where)


def _check_unique(cells: AnnData, where: str) -> None:
    if not cells.var_names.is_unique:
        repeated = cells.var_names[cells.var_names.duplicated()].unique()
        raise ValueError(
            f"{where}.var_names must be unique, got {len(repeated)} that are repeated, such as {repeated[0]!r}: call "
            f"{where}.var_names_make_unique(), or keep one column of each gene."
        )


def _check_columns(find: _Find, columns: Columns, *, is_new: bool, elsewhere: Mapping[str, str] | None = None) -> None:
    labels_key, unlabeled = columns.labels_key, columns.unlabeled_category
    if unlabeled is not None and labels_key is None:
        raise ValueError(f"unlabeled_category={unlabeled!r} needs labels_key, the column that has it.")
    for name, keys in columns.keys.items():
        for key in keys:
            where, obs = find(name)
            if not isinstance(key, str):
                raise TypeError(f"{name} must be the name of a column of {where}.obs, got {key!r}.")
            if key not in obs:
                other = (elsewhere or {}).get(key)
                hint = f": give modalities={{{name!r}: {other!r}}}" if other else f", which has {list(obs.columns)}"
                raise KeyError(f"{name}={key!r} is not a column of {where}.obs{hint}.")
            if isinstance(obs[key], pd.DataFrame):
                raise ValueError(
                    f"{name}={key!r}: {where}.obs has {obs[key].shape[1]} columns of this name: rename them."
                )
            _check_column(where, obs[key], name, key, is_number=name in _NUMBERS)
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"{name} must name each column once, got {repeated}.")
    if is_new:
        _check_roles(columns.keys)
    size_factor_key = columns.size_factor_key
    if size_factor_key is not None and (np.asarray(find("size_factor_key")[1][size_factor_key]) <= 0).any():
        raise ValueError(f"size_factor_key={size_factor_key!r}: size factors must be positive.")
    if unlabeled is not None and not np.isscalar(unlabeled):
        raise TypeError(f"unlabeled_category must be one value of labels_key, got {unlabeled!r}.")
    if not is_new or labels_key is None:
        return
    where, obs = find("labels_key")
    column = obs[labels_key]
    labels = set(column)
    if len(labels) > max(len(column) / 2, _MAX_TYPES_OF_FEW_CELLS):
        raise ValueError(
            f"labels_key={labels_key!r} has {len(labels)} types for {len(column)} cells (dtype {column.dtype}): name the "
            f"column of cell types among {list(obs.columns)}."
        )
    if any(isinstance(label, float | np.floating) and np.isinf(label) for label in labels):
        raise ValueError(f"labels_key={labels_key!r} has an infinite value: give types as strings.")
    if unlabeled is not None and unlabeled not in labels:
        known = sorted(map(str, labels))
        raise ValueError(f"unlabeled_category={unlabeled!r} is not a value of labels_key={labels_key!r}, got {known}.")
    if labels == {unlabeled}:
        raise ValueError(f"labels_key={labels_key!r}: every cell is {unlabeled!r}, the unlabeled_category: omit both.")


def _check_roles(keys: Mapping[str, list[str]]) -> None:
    roles: dict[str, list[str]] = {}
    for name, named in keys.items():
        for key in named:
            roles.setdefault(key, []).append(name)
    if twice := {key: names for key, names in roles.items() if len(names) > 1}:
        key, names = next(iter(twice.items()))
        raise ValueError(f"{' and '.join(names)} name the same column {key!r}: a column has one role, leave one out.")


def _check_column(where: str, column: pd.Series, name: str, key: str, *, is_number: bool) -> None:
    if key.startswith(_RESERVED):
        raise ValueError(f"{name}={key!r}: names that begin with {list(_RESERVED)} are reserved: rename the column.")
    if "/" in key or key in _UNWRITABLE:
        raise ValueError(f"{name}={key!r}: AnnData files have no column of this name: rename it.")
    if n_missing := int(column.isna().sum()):
        hint = " or name them by an unlabeled_category" if name == "labels_key" else ""
        raise ValueError(f"{name}={key!r} is missing for {n_missing} of {len(column)} cells: leave these out{hint}.")
    if not is_number and (kinds := _unsortable(column)):
        raise ValueError(f"{name}={key!r} has values of types {kinds}, which have no order: give strings only.")
    if is_number and not (pd.api.types.is_numeric_dtype(column) and np.isfinite(np.asarray(column, dtype=float)).all()):
        raise ValueError(f"{name}={key!r} must hold finite numbers, got dtype {column.dtype}.")


def _unsortable(column: pd.Series) -> list[str]:
    """Types of a column's values if these cannot be sorted together."""
    values: Any = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.drop_duplicates()
    try:
        sorted(values)
    except TypeError:
        return sorted({type(value).__name__ for value in values})
    return []
