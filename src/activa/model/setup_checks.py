"""Checks of the columns and layers that are registered, against AnnData and MuData."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData

from activa.checks import check_values_of, modality_of

_RESERVED = ("_scvi_", "_activa_")  # what scvi-tools adds to obs, and columns of the design table
LAYERS = ("rna_layer", "protein_layer")
"""Arguments of ``setup_mudata`` whose modalities hold genes and proteins."""

_ONE_COLUMN = ("labels_key", "batch_key", "size_factor_key")
_COLUMN_LISTS = ("categorical_covariate_keys", "continuous_covariate_keys")
Find = Callable[[str], tuple[str, pd.DataFrame]]
"""Name of a set-up argument -> name and ``obs`` of the object that has its columns."""


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
            if isinstance(keys, str):
                raise TypeError(f"{name} must be a list of obs columns, got the string {keys!r}: write [{keys!r}].")
            if keys is not None and not isinstance(keys, list):
                raise TypeError(f"{name} must be a list of obs columns, got {keys!r}.")
            found[name] = list(keys or [])
        return found


def check_setup(
    adata: Any, columns: Columns, *, layer: str | None, is_new: bool, allow_missing_labels: bool = False
) -> None:
    """Check the arguments of ``setup_anndata``, for a new model (``is_new``) or a trained one.

    Raises
    ------
    TypeError
        If ``adata`` is not an AnnData of numbers, or a key has the wrong type.
    KeyError
        If a key or layer does not exist.
    ValueError
        If ``adata`` is a view, lazy or empty; or if a column has missing values, values that cannot be sorted or (where
        numbers are needed) other values, is named twice, or has a reserved name.
    """
    check_values_of(adata, layer=layer)
    if adata.is_view:
        raise ValueError(
            f"adata is a view of another AnnData ({adata.n_obs} cells x {adata.n_vars} genes), which cannot be registered: "
            "give adata.copy()."
        )
    if allow_missing_labels and columns.unlabeled_category is not None and columns.labels_key not in adata.obs:
        columns = replace(columns, labels_key=None, unlabeled_category=None)  # scvi-tools adds the column
    _check_columns(lambda _: ("adata", adata.obs), columns, is_new=is_new)


def check_setup_mudata(
    mdata: Any, columns: Columns, *, layers: Mapping[str, str | None], modalities: Mapping[str, str], is_new: bool
) -> None:
    """Check the arguments of ``setup_mudata``; ``modalities`` maps arguments to the modalities of their layers and columns.

    Raises
    ------
    TypeError, KeyError, ValueError
        As :func:`check_setup`; and if the modalities do not have the same cells in the same order.
    """
    if not isinstance(mdata, MuData):
        raise TypeError(f"mdata must be a MuData, got {type(mdata).__name__}. For AnnData, use setup_anndata.")
    keys = columns.keys
    if unknown := set(modalities) - {*LAYERS, *keys}:
        raise ValueError(f"modalities names {sorted(unknown)}, which are not among {[*LAYERS, *keys]}.")
    found = {name: modality_of(mdata, key, f"modalities[{name!r}]") for name, key in modalities.items()}
    if modalities["rna_layer"] == modalities["protein_layer"]:
        raise ValueError(f"modalities: genes and proteins are both {modalities['rna_layer']!r}: name one for each.")
    for argument, layer in layers.items():
        _check_modality(mdata, found[argument], f"mdata[{modalities[argument]!r}]", argument, layer)

    def find(argument: str) -> tuple[str, Any]:
        return (f"mdata[{modalities[argument]!r}]", found[argument].obs) if argument in found else ("mdata", mdata.obs)

    for argument, names in keys.items():
        where, obs = find(argument)
        for key in names:
            elsewhere = [name for name, other in mdata.mod.items() if isinstance(key, str) and key in other.obs]
            if elsewhere and key not in obs:
                raise KeyError(
                    f"{argument}={key!r} is not a column of {where}.obs, but of mdata[{elsewhere[0]!r}].obs: give "
                    f"modalities={{..., {argument!r}: {elsewhere[0]!r}}}."
                )
    _check_columns(find, columns, is_new=is_new)


def _check_modality(mdata: MuData, cells: AnnData, where: str, argument: str, layer: str | None) -> None:
    if cells.n_obs == 0 or cells.n_vars == 0:
        raise ValueError(f"{where} must have cells and variables, got shape {cells.shape}.")
    if not cells.obs_names.equals(mdata.obs_names):
        raise ValueError(
            f"{where} does not have the cells of mdata in their order: keep the cells that every modality has (mudata's "
            "intersect_obs), each in the order of mdata.obs_names."
        )
    if layer is not None and layer not in cells.layers:
        raise KeyError(f"{argument}={layer!r} is not in {where}.layers, which has {list(dict(cells.layers))}.")


def _check_columns(find: Find, columns: Columns, *, is_new: bool) -> None:
    """Check the columns themselves."""
    labels_key, unlabeled = columns.labels_key, columns.unlabeled_category
    all_keys = columns.keys
    if unlabeled is not None and labels_key is None:
        raise ValueError(f"unlabeled_category={unlabeled!r} needs labels_key, the column that has it.")
    for name, keys in all_keys.items():
        for key in keys:
            _check_column(*find(name), name, key, is_number=name in ("size_factor_key", "continuous_covariate_keys"))
        if repeated := [key for key in keys if keys.count(key) > 1]:
            raise ValueError(f"{name} must name each column once, got {repeated}.")
    size_factor_key = columns.size_factor_key
    if size_factor_key is not None and (np.asarray(find("size_factor_key")[1][size_factor_key]) <= 0).any():
        raise ValueError(f"size_factor_key={size_factor_key!r}: size factors must be positive.")
    if unlabeled is not None and not np.isscalar(unlabeled):
        raise TypeError(f"unlabeled_category must be one value of labels_key, got {unlabeled!r}.")
    if not is_new or labels_key is None:
        return
    labels = set(find("labels_key")[1][labels_key])
    if unlabeled is not None and unlabeled not in labels:
        raise ValueError(
            f"unlabeled_category={unlabeled!r} is not a value of labels_key={labels_key!r}, which has "
            f"{sorted(map(str, labels))}: name the value that stands for no label, or leave it out."
        )
    if labels == {unlabeled}:
        raise ValueError(
            f"labels_key={labels_key!r}: every cell is {unlabeled!r}, the unlabeled_category. Leave labels_key out to "
            "train without labels."
        )


def _check_column(where: str, obs: pd.DataFrame, name: str, key: str, *, is_number: bool) -> None:
    if not isinstance(key, str):
        raise TypeError(f"{name} must be the name of a column of {where}.obs, got {key!r}.")
    if key not in obs:
        raise KeyError(
            f"{name}={key!r} is not a column of {where}.obs, which has {list(obs.columns)}: name one of these."
        )
    if key.startswith(_RESERVED):
        raise ValueError(f"{name}={key!r}: names that begin with {list(_RESERVED)} are reserved: rename the column.")
    column = obs[key]
    if n_missing := int(column.isna().sum()):
        hint = " or name a category for them and give it as unlabeled_category" if name == "labels_key" else ""
        raise ValueError(
            f"{name}={key!r} is missing for {n_missing} of {len(column)} cells: leave those cells out{hint}."
        )
    if not is_number and (kinds := _unsortable(column)):
        raise ValueError(
            f"{name}={key!r} has values of the types {kinds}, which cannot be sorted: make them strings, "
            f"{where}.obs[{key!r}].astype(str)."
        )
    if is_number and not (pd.api.types.is_numeric_dtype(column) and np.isfinite(np.asarray(column, dtype=float)).all()):
        raise ValueError(f"{name}={key!r} must hold finite numbers, got dtype {column.dtype}.")


def _unsortable(column: pd.Series) -> list[str]:
    """Types of a column's values if these cannot be sorted; otherwise nothing."""
    values: Any = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column.drop_duplicates()
    try:
        sorted(values)
    except TypeError:
        return sorted({type(value).__name__ for value in values})
    return []
