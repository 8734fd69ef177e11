"""Cells of a generator judged against all cells of a split that it has not seen: the table of ``activa.metrics.evaluate``."""

from __future__ import annotations

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from activa.data import log_normalize
from activa.metrics import METRICS, evaluate


def unseen_cells(parts: dict[str, ad.AnnData]) -> ad.AnnData:
    """The cells that no generator has trained on: test and floor."""
    return ad.concat([parts["test"], parts["floor"]], merge="same")


def is_whole(cells: ad.AnnData) -> bool:
    """Whether all values are whole numbers, as counts are."""
    values = csr_matrix(cells.X).data
    return bool((values == np.rint(values)).all())


def judge(
    real: ad.AnnData,
    cells: ad.AnnData,
    train: ad.AnnData | None,
    labels_key: str,
    seed: int,
    metrics: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The judge's table: counts as they are, other values (of any scale) as log1p of shares times 10,000, like the real ones."""
    sets = {"real": real, "synthetic": cells} | ({} if train is None else {"train": train})
    counts = is_whole(cells)
    if not counts:
        sets = {name: adata.copy() for name, adata in sets.items()}
        for adata in sets.values():
            adata.X = log_normalize(csr_matrix(adata.X))
    met = {"labels", "two types"} if labels_key in cells.obs else set()
    met |= ({"counts"} if counts else set()) | ({"train"} if train is not None else set())
    names = [name for name in metrics or METRICS if met.issuperset(METRICS[name].needs)]
    key = labels_key if "labels" in met else None
    return evaluate(**sets, labels_key=key, metrics=names, normalized=not counts, seed=seed)


def scores(parts: dict[str, ad.AnnData], cells: ad.AnnData, labels_key: str, seed: int, metrics: list[str]) -> dict:
    """These metrics of the cells; NaN for those that need what they lack."""
    genes = parts["train"].var_names
    table = judge(unseen_cells(parts), cells[:, genes], parts["train"], labels_key, seed, metrics)
    return table["value"].reindex(metrics).to_dict()


def floor_scores(parts: dict[str, ad.AnnData], labels_key: str, seed: int, metrics: list[str]) -> dict:
    """The floor of these metrics, that of other real cells."""
    table = judge(unseen_cells(parts), parts["test"], parts["train"], labels_key, seed, metrics)
    return table["floor"].reindex(metrics).to_dict()
