"""Cells as AnnData or MuData: joined, put under each other, taken apart."""

from __future__ import annotations

from typing import Any

import anndata
import pandas as pd
from anndata import AnnData
from mudata import MuData


def as_mudata(modalities: dict[str, AnnData], obs: pd.DataFrame, uns: dict[str, Any]) -> MuData:
    """Modalities of the same cells as MuData, which ``obs`` describes."""
    mdata = MuData(modalities)
    mdata.obs = obs.copy()
    mdata.uns.update(uns)
    return mdata


def stack(real: AnnData, synthetic: AnnData) -> AnnData:
    """Real cells above synthetic ones; ``obs["origin"]`` tells them apart.

    Synthetic cells are renamed where a real one has the same name. Genes are the same, in one order.
    """
    if real.obs_names.isin(synthetic.obs_names).any():
        synthetic.obs_names = [f"{name}-activa" for name in synthetic.obs_names]
    obs: Any = real.obs
    names, is_unique = real.var_names, real.var_names.is_unique
    if not is_unique:  # by which concat would match the genes
        real.var_names = synthetic.var_names = [str(i) for i in range(len(names))]
    stacked: Any = anndata.concat(
        {"real": real, "synthetic": synthetic}, label="origin", join="outer", merge="first", uns_merge="first"
    )
    if not is_unique:
        stacked.var_names = names
    for column in obs.select_dtypes("category"):
        # concat unites categories in order of appearance: the user's order is kept
        known = list(obs[column].cat.categories)
        new = [c for c in stacked.obs[column].dropna().unique() if c not in known]
        ordered = bool(obs[column].cat.ordered)
        stacked.obs[column] = pd.Categorical(stacked.obs[column], categories=known + new, ordered=ordered)
    return stacked
