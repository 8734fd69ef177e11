"""The classifier's table, colored."""

from __future__ import annotations

from os import PathLike

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from activa.pl._finish import Output
from activa.pl._tables import check_table

_SUMMARIES = ["accuracy", "macro average", "weighted average"]
_SCORES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
_TITLES = {"train": "Training cells", "test": "Test cells"}


def classifier_report(
    table: pd.DataFrame,
    *,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | list[Axes] | None:
    """Precision, recall and F1 of the classifier in a heat map with numbers, for training and for test cells.

    A panel a set, a row a type and, below a line, accuracy and averages; cells stand in the last column.

    Parameters
    ----------
    table
        What :func:`activa.experiments.classifier_report` gave.
    show
        Whether to show the plot; by default as ``scanpy.settings.autoshow`` says.
    save
        Path to write it to, in the format of its suffix.
    return_fig
        Whether to return the figure, which is then not shown.

    Returns
    -------
    The panels' Axes; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.

    References
    ----------
    Tables S5 to S7 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> classifier_report(table)
    """
    output = Output(show, save, return_fig)
    check_table(table, "classifier_report", ("set", "type", *_SCORES, "cells"))
    sets, summaries = table["set"].unique(), table["type"].isin(_SUMMARIES)
    # a type may be in one of the sets alone
    types = [*sorted(table.loc[~summaries, "type"].unique()), *table.loc[summaries, "type"].unique()]
    longest = max(len(label) for label in types)
    with output.figure(3.4 * len(sets) + 0.09 * longest + 0.8, 0.29 * len(types) + 1) as figure:
        axes = figure.subplots(1, len(sets), squeeze=False, sharey=True)[0]
        for ax, name in zip(axes, sets, strict=True):
            image = _panel(ax, table[table["set"] == name].set_index("type").reindex(types))
            ax.set_title(_TITLES.get(name, name), fontsize="medium")
        axes[0].set_yticks(range(len(types)), types)
        figure.colorbar(image, ax=axes, label="Score", aspect=30)
        return output.finish(list(axes))


def _panel(ax: Axes, scores: pd.DataFrame) -> AxesImage:
    values = scores[list(_SCORES)].to_numpy(dtype=float)
    # the fourth column is of numbers alone
    shown = np.column_stack([values, np.full(len(values), np.nan)])
    image = ax.imshow(shown, vmin=0, vmax=1, cmap="cividis", aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            color = "#000000" if value > 0.45 else "#ffffff"
            ax.text(column, row, f"{value:.3f}", ha="center", va="center", color=color, fontsize="small")
    for row, cells in enumerate(scores["cells"]):
        if np.isfinite(cells):
            ax.text(len(_SCORES), row, f"{int(cells):,}", ha="center", va="center", fontsize="small")
    n_types = int((~scores.index.isin(_SUMMARIES)).sum())
    ax.axhline(n_types - 0.5, color="#000000", lw=1.5)
    ax.set_xticks(range(len(_SCORES) + 1), [*_SCORES.values(), "Cells"])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return image
