"""Whether a random forest tells generated from real cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import auc, roc_curve
from sklearn.model_selection import StratifiedKFold

from activa.experiments._sets import REAL, Synthetic, read, same_size
from activa.metrics.space import Space


def rf_detection(
    real: AnnData,
    synthetic: Synthetic,
    *,
    labels_key: str | None = None,
    layer: str | None = None,
    normalized: bool = False,
    n_trees: int = 1000,
    n_folds: int = 5,
    seed: int = 0,
) -> pd.DataFrame:
    """ROC curves of random forests that tell generated from real cells.

    Of each set as many cells as there are real ones, or of both as many as the smaller has, are projected on 50 principal
    components fitted on the two together (log1p of counts scaled to 10,000, the 2,000 genes of largest variance). A
    forest of 1,000 trees (Gini, square root of the features a split) is cross-validated on them.

    Parameters
    ----------
    real
        Held-out real cells: cells x genes of counts.
    synthetic
        Generated cells with the same genes, or a mapping of names to several sets. A second held-out set among them is
        the floor, where a perfect generator stands.
    labels_key
        Column of ``obs`` with the types, in every set: cells are then drawn type by type.
    layer
        Layer of the counts in every set; ``X`` by default.
    normalized
        All sets hold log1p of counts scaled to 10,000 a cell instead of counts.
    n_trees, n_folds
        Trees of a forest, and folds of the cross-validation.
    seed
        Seed of draws, folds and forests.

    Returns
    -------
    A row a point of a curve: ``set``, ``fold``, ``false_positive_rate``, ``true_positive_rate`` (of generated cells), and
    ``auc``, the area under the fold's curve: 0.5 is best, 1 means that every cell is recognized.

    Raises
    ------
    KeyError, TypeError, ValueError
        As :func:`activa.metrics.evaluate` for the same arguments; if ``synthetic`` is no set or mapping of sets, or there
        are fewer cells than folds.

    References
    ----------
    Heydari et al. 2022, doi:10.1093/bioinformatics/btac095; Marouf et al. 2020, doi:10.1038/s41467-019-14018-z.

    Examples
    --------
    >>> table = rf_detection(held_out, {"ACTIVA": synthetic, "held out": floor}, labels_key="cell_type")
    >>> table.groupby("set")["auc"].mean()
    >>> activa.pl.rf_detection(table)
    """
    cells = read(real, synthetic, labels_key=labels_key, layer=layer, normalized=normalized)
    if (smallest := min(map(len, cells.values()))) < n_folds:
        raise ValueError(f"The smallest set has {smallest} cells, fewer than n_folds={n_folds}.")
    curves = []
    for name in list(cells)[1:]:
        first, made = same_size(cells[REAL], cells[name], seed)
        x = np.vstack(Space(first, seed).project_together(first, made))
        origin = np.repeat([0, 1], len(first))
        folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
        for fold, (train, test) in enumerate(folds.split(x, origin)):
            forest = RandomForestClassifier(
                n_trees, criterion="gini", max_features="sqrt", random_state=seed, n_jobs=-1
            )
            score = forest.fit(x[train], origin[train]).predict_proba(x[test])[:, 1]
            false, true, _ = roc_curve(origin[test], score)
            curve = {"false_positive_rate": false, "true_positive_rate": true, "auc": auc(false, true)}
            curves.append(pd.DataFrame({"set": name, "fold": fold, **curve}))
    return pd.concat(curves, ignore_index=True)
