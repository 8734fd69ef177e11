"""The classifier's table, coloured."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from activa.pl._tables import check_table

_SUMMARIES = ["accuracy", "macro average", "weighted average"]
_SCORES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
_TITLES = {"train": "Training cells", "test": "Test cells"}


def classifier_report(table: pd.DataFrame) -> Figure:
    """Precision, recall and F1 of the classifier in a heat map with numbers, for training and for test cells.

    Parameters
    ----------
    table
        What :func:`activa.experiments.classifier_report` gave.

    Returns
    -------
    The figure: a panel a set, a row a type and, below a line, accuracy and averages; cells stand in the last column.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.

    References
    ----------
    Tables S5 to S7 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> figure = classifier_report(table)
    """
    check_table(table, "classifier_report", ("set", "type", *_SCORES, "cells"))
    sets, summaries = table["set"].unique(), table["type"].isin(_SUMMARIES)
    # a type may be in one of the sets alone
    types = [*sorted(table.loc[~summaries, "type"].unique()), *table.loc[summaries, "type"].unique()]
    longest = max(len(label) for label in types)
    figure = Figure(figsize=(3.4 * len(sets) + 0.09 * longest + 0.8, 0.29 * len(types) + 1), layout="constrained")
    axes = figure.subplots(1, len(sets), squeeze=False, sharey=True)[0]
    for ax, name in zip(axes, sets, strict=True):
        image = _panel(ax, table[table["set"] == name].set_index("type").reindex(types))
        ax.set_title(_TITLES.get(name, name), fontsize="medium")
    axes[0].set_yticks(range(len(types)), types)
    figure.colorbar(image, ax=axes, label="Score", aspect=30)
    return figure


def _panel(ax: Axes, scores: pd.DataFrame) -> AxesImage:
    values = scores[list(_SCORES)].to_numpy(dtype=float)
    # the fourth column is of numbers alone
    shown = np.column_stack([values, np.full(len(values), np.nan)])
    image = ax.imshow(shown, vmin=0, vmax=1, cmap="cividis", aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            colour = "#000000" if value > 0.45 else "#ffffff"
            ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=colour, fontsize="small")
    for row, cells in enumerate(scores["cells"]):
        if np.isfinite(cells):
            ax.text(len(_SCORES), row, f"{int(cells):,}", ha="center", va="center", fontsize="small")
    n_types = int((~scores.index.isin(_SUMMARIES)).sum())
    ax.axhline(n_types - 0.5, color="#000000", lw=1.5)
    ax.set_xticks(range(len(_SCORES) + 1), [*_SCORES.values(), "Cells"])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return image
