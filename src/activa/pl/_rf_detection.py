"""ROC curves."""

from __future__ import annotations

from os import PathLike

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activa.pl._finish import Output
from activa.pl._tables import check_table, set_colors

_FALSE_POSITIVE_RATES = np.linspace(0, 1, 201)


def rf_detection(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """ROC curves of the forests that tell generated from real cells.

    A thin line a fold, and their mean; a forest that can only guess has the diagonal.

    Parameters
    ----------
    table
        What :func:`activa.experiments.rf_detection` gave.
    ax
        Axes to draw into; by default those of a new figure.
    show
        Whether to show the plot; by default as ``scanpy.settings.autoshow`` says, but not where ``ax`` is given.
    save
        Path to write it to, in the format of its suffix.
    return_fig
        Whether to return the figure, which is then not shown.

    Returns
    -------
    The Axes; the figure with ``return_fig``; nothing if it is shown.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.

    References
    ----------
    Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> rf_detection(table)
    """
    output = Output(show, save, return_fig, ax)
    check_table(table, "rf_detection", ("set", "fold", "false_positive_rate", "true_positive_rate", "auc"))
    with output.panel(4.8, 4.8) as ax:
        for name, color in set_colors(table).items():
            rates, areas = [], []
            for _, curve in table[table["set"] == name].groupby("fold"):
                x, y = curve["false_positive_rate"], curve["true_positive_rate"]
                ax.plot(x, y, color=color, lw=0.6, alpha=0.35)
                rates.append(np.interp(_FALSE_POSITIVE_RATES, x, y))
                areas.append(curve["auc"].iloc[0])
            label = f"{name}: {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}"
            ax.plot(_FALSE_POSITIVE_RATES, np.mean(rates, axis=0), color=color, lw=2, label=label)
        ax.plot([0, 1], [0, 1], color="#888888", lw=1, ls="--", label="chance: 0.5")
        ax.set(xlim=(0, 1), ylim=(0, 1), box_aspect=1)
        ax.set(xlabel="Real cells taken for generated", ylabel="Generated cells recognized")
        ax.set_title("A forest's area under the curve, over folds", fontsize="medium")
        ax.legend(loc="lower right", frameon=False, fontsize="small")
        return output.finish(ax)
