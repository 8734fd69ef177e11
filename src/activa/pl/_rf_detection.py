"""ROC curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from activa.pl._tables import check_table, set_colours

_FALSE_POSITIVE_RATES = np.linspace(0, 1, 201)


def rf_detection(table: pd.DataFrame) -> Figure:
    """ROC curves of the forests that tell generated from real cells.

    A thin line a fold, and their mean; a forest that can only guess has the diagonal.

    Parameters
    ----------
    table
        What :func:`activa.experiments.rf_detection` gave.

    Returns
    -------
    The figure. A notebook shows it as the last value of a cell; ``figure.savefig(path)`` writes it.

    Raises
    ------
    TypeError, ValueError
        If it is no such table.

    References
    ----------
    Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> figure = rf_detection(table)
    """
    check_table(table, "rf_detection", ("set", "fold", "false_positive_rate", "true_positive_rate", "auc"))
    figure = Figure(figsize=(4.8, 4.8), layout="constrained")
    ax = figure.subplots()
    for name, colour in set_colours(table).items():
        rates, areas = [], []
        for _, curve in table[table["set"] == name].groupby("fold"):
            x, y = curve["false_positive_rate"], curve["true_positive_rate"]
            ax.plot(x, y, color=colour, lw=0.6, alpha=0.35)
            rates.append(np.interp(_FALSE_POSITIVE_RATES, x, y))
            areas.append(curve["auc"].iloc[0])
        label = f"{name}: {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}"
        ax.plot(_FALSE_POSITIVE_RATES, np.mean(rates, axis=0), color=colour, lw=2, label=label)
    ax.plot([0, 1], [0, 1], color="#888888", lw=1, ls="--", label="chance: 0.5")
    ax.set(xlim=(0, 1), ylim=(0, 1), box_aspect=1)
    ax.set(xlabel="Real cells taken for generated", ylabel="Generated cells recognised")
    ax.set_title("A forest's area under the curve, over folds", fontsize="medium")
    ax.legend(loc="lower right", frameon=False, fontsize="small")
    return figure
