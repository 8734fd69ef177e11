"""Drawn values as AnnData or MuData, and generated cells appended to real ones."""

from __future__ import annotations

from typing import Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scipy.sparse import issparse

from activa.design import Design
from activa.request import CellPlan


def obs_of(
    plan: CellPlan, design: Design, labels_key: str | None, library_sizes: np.ndarray | None = None
) -> pd.DataFrame:
    """``obs`` of planned cells: types (in ``labels_key``, or the registered column), batch, covariates and what is told."""
    obs = pd.DataFrame(index=pd.Index([f"synthetic_{i}-{plan.tag}" for i in range(len(plan))]))
    labels_key = labels_key or design.labels_key
    if labels_key is not None:
        types: Any = list(design.types)
        ordered = design.labels_key in design.ordered
        obs[labels_key] = pd.Categorical.from_codes(plan.label, categories=types, ordered=ordered)
    for key, values in design.obs_values(plan.design).items():
        obs[key] = values
    for key, values in {"seen": plan.seen, "library_size": library_sizes}.items():
        if values is None:
            continue
        if key in obs:
            raise ValueError(
                f"obs[{key!r}] is written for the batches or latents asked for: rename the column {key!r}."
            )
        obs[key] = values
    return obs


def as_cells(
    x: Any, obs: pd.DataFrame, var: pd.DataFrame, protein_var: pd.DataFrame | None, design: Design, uns: dict[str, Any]
) -> AnnData | MuData:
    """AnnData of values ``(n_cells, n_genes)``; with proteins, whose columns follow the genes', MuData."""
    if protein_var is None or design.modalities is None:
        return as_anndata(x, obs, var, design.layer, uns)
    n_genes = len(var)
    proteins = x[:, n_genes:].toarray() if issparse(x) else x[:, n_genes:].copy()
    rna, protein = design.modalities
    modalities = {
        rna: as_anndata(x[:, :n_genes].copy(), obs, var, design.layer, {}),
        protein: as_anndata(proteins, obs, protein_var, design.protein_layer, {}),
    }
    return as_mudata(modalities, obs, uns)


def as_anndata(x: Any, obs: pd.DataFrame, var: pd.DataFrame, layer: str | None, uns: dict[str, Any]) -> AnnData:
    """AnnData with the values in ``X`` and, where a layer was registered, in that layer too."""
    return AnnData(x, obs=obs.copy(), var=var.copy(), layers={layer: x.copy()} if layer else None, uns=uns)


def as_mudata(modalities: dict[str, AnnData], obs: pd.DataFrame, uns: dict[str, Any]) -> MuData:
    """MuData of modalities of the same cells, which ``obs`` describes."""
    mdata = MuData(modalities)
    mdata.obs = obs.copy()
    mdata.uns.update(uns)
    return mdata


def stack(real: AnnData, synthetic: AnnData) -> AnnData:
    """Real cells above synthetic ones of the same genes, which are renamed if names repeat; ``obs["origin"]`` tells which."""
    if "seen" in synthetic.obs:
        real.obs["seen"] = True
    if real.obs_names.isin(synthetic.obs_names).any():
        synthetic.obs_names = [f"{name}-activa" for name in synthetic.obs_names]
    obs: Any = real.obs
    stacked: Any = anndata.concat(
        {"real": real, "synthetic": synthetic}, label="origin", join="outer", merge="first", uns_merge="first"
    )
    for column in obs.select_dtypes("category"):
        # concat orders categories by appearance; the user's order is kept
        known = list(obs[column].cat.categories)
        new = [c for c in stacked.obs[column].dropna().unique() if c not in known]
        ordered = bool(obs[column].cat.ordered)
        stacked.obs[column] = pd.Categorical(stacked.obs[column], categories=known + new, ordered=ordered)
    return stacked


def size_of(cells: Any) -> int:
    """Bytes of an AnnData or MuData, about as in a file: HDF5 crashes the process when the disk is full."""
    return sum(modality.__sizeof__() for modality in getattr(cells, "mod", {"": cells}).values())


def plain(value: Any) -> Any:
    """The same value in Python's own types, for JSON."""
    if isinstance(value, dict):
        return {str(name): plain(v) for name, v in value.items()}
    if isinstance(value, np.ndarray | list | tuple | pd.Index):
        return [plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value
