"""What is asked of MuData, before any work starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mudata import MuData

from activa.model._cells import LAYERS, modality_of
from activa.model._checks import check_columns, check_genes, values_in
from activa.settings import ProteinLikelihood


def check_setup_mudata(
    mdata: MuData,
    *,
    modalities: Mapping[str, str],
    rna_layer: str | None,
    protein_layer: str | None,
    labels_key: str | None,
    batch_key: str | None,
    size_factor_key: str | None,
    categorical_covariate_keys: Sequence[str] | None,
    continuous_covariate_keys: Sequence[str] | None,
    unlabeled_category: str | None,
    is_new: bool,
) -> None:
    """Check the arguments of ``setup_mudata`` against the data.

    Raises
    ------
    TypeError
        If ``mdata`` is not a MuData, or a list of keys is a string.
    KeyError
        If a modality, key or layer is not in the data.
    ValueError
        If the modalities have not the same cells in the same order, a modality is named for what is no argument, or a
        column has missing values or, where numbers are asked for, other values.
    """
    if not isinstance(mdata, MuData):
        raise TypeError(f"mdata must be a MuData, got {type(mdata).__name__}. For AnnData there is setup_anndata.")
    columns = {
        "labels_key": labels_key,
        "batch_key": batch_key,
        "size_factor_key": size_factor_key,
        "categorical_covariate_keys": categorical_covariate_keys,
        "continuous_covariate_keys": continuous_covariate_keys,
    }
    unknown = set(modalities) - {*LAYERS, *columns}
    if unknown:
        raise ValueError(f"modalities names {sorted(unknown)}, which are none of {[*LAYERS, *columns]}.")
    for argument in modalities:
        modality_of(mdata, modalities, argument)
    if modalities["rna_layer"] == modalities["protein_layer"]:
        raise ValueError(f"modalities: genes and proteins are both {modalities['rna_layer']!r}: name the one of each.")
    for argument, layer in {"rna_layer": rna_layer, "protein_layer": protein_layer}.items():
        found = modality_of(mdata, modalities, argument)
        if found.n_obs == 0 or found.n_vars == 0:
            raise ValueError(f"mdata[{modalities[argument]!r}] must have cells and variables, got shape {found.shape}.")
        if not found.obs_names.equals(mdata.obs_names):
            raise ValueError(
                f"mdata[{modalities[argument]!r}] has not the cells of mdata in their order: keep the cells that every "
                "modality has (mudata's intersect_obs), each in the order of mdata.obs_names."
            )
        if layer is not None and layer not in found.layers:
            raise KeyError(
                f"{argument}={layer!r} is not in mdata[{modalities[argument]!r}].layers, which has "
                f"{list(dict(found.layers))}."
            )

    def find(argument: str) -> tuple[str, Any]:
        if argument in modalities:
            return f"mdata[{modalities[argument]!r}]", modality_of(mdata, modalities, argument).obs
        return "mdata", mdata.obs

    for argument, keys in columns.items():
        where, obs = find(argument)
        if isinstance(keys, str) and argument.endswith("_keys"):
            continue  # a string in the place of a list, which is refused below
        for key in [keys] if isinstance(keys, str) else keys or []:
            elsewhere = [name for name, other in mdata.mod.items() if key in other.obs]
            if key not in obs and elsewhere:
                raise KeyError(
                    f"{argument}={key!r} is not a column of {where}.obs, but of mdata[{elsewhere[0]!r}].obs: give "
                    f"modalities={{..., {argument!r}: {elsewhere[0]!r}}}."
                )
    check_columns(find, **columns, unlabeled_category=unlabeled_category, is_new=is_new)  # type: ignore[arg-type]


def check_cells(cells: Any, modalities: Mapping[str, str], genes: np.ndarray, proteins: np.ndarray) -> None:
    """Check that cells are MuData with the model's genes and proteins, in its order.

    Raises
    ------
    TypeError, KeyError, ValueError
        If they are not.
    """
    if not isinstance(cells, MuData):
        raise TypeError(f"The model was set up with MuData: give cells as such, not as {type(cells).__name__}.")
    for argument, trained, what in zip(LAYERS, (genes, proteins), ("genes", "proteins"), strict=True):
        found = modality_of(cells, modalities, argument)
        check_genes(found, trained, where=f"mdata[{modalities[argument]!r}]", what=what)


def check_proteins(
    values: np.ndarray, likelihood: ProteinLikelihood | None, *, layer: str | None, modality: str
) -> ProteinLikelihood:
    """Check that proteins are what the likelihood describes; gives the likelihood, chosen by the values if it is None.

    Raises
    ------
    ValueError
        If a value is not finite or, under ``"nb"``, negative or not whole; if under ``"normal"`` all are counts.
    """
    where = values_in(layer, modality)
    if not np.isfinite(values).all():
        raise ValueError(f"{where} has values that are not finite (nan or inf): remove or replace them.")
    unfit = values[(values < 0) | (values != np.round(values))]
    if likelihood is None:
        return "normal" if unfit.size else "nb"
    if likelihood == "nb" and unfit.size:
        raise ValueError(
            f"{where} has values that are no counts (for example {unfit[0]:.4g}), and protein_likelihood='nb' describes "
            "counts. Give the layer of raw counts as protein_layer= in setup_mudata, or use protein_likelihood='normal'."
        )
    if likelihood == "normal" and not unfit.size:
        raise ValueError(
            f"{where} has whole counts only, and protein_likelihood='normal' would generate fractions of them. Use "
            "protein_likelihood='nb', or give normalized values."
        )
    return likelihood
