"""Curves of the augmentation experiment."""

from __future__ import annotations

from os import PathLike

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from activa.experiments._augmentation_gain import t_interval
from activa.pl._finish import Output
from activa.pl._legends import legend_right
from activa.pl._tables import check_table

# Okabe and Ito 2008
_METHODS = {
    "none": ("nothing added", "#000000", "o"),
    "activa": ("ACTIVA", "#0072b2", "s"),
    "oversampling": ("oversampling", "#e69f00", "D"),
    "smote": ("SMOTE", "#009e73", "^"),
    "gaussian": ("Gaussian", "#56b4e9", "X"),
    "scvi_counts": ("scVI counts", "#d55e00", "v"),
    "scvi_rates": ("scVI rates", "#cc79a7", "P"),
}


def augmentation(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """F1 of the type made rare against the number of its cells that were kept, a curve a method.

    Means over seeds, with 95% intervals of Student's t cut off at 0 and 1. Methods stand a little beside each other, so that
    intervals are told apart.

    Parameters
    ----------
    table
        What :func:`activa.experiments.augmentation` gave, of one type.
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
        If it is no such table, has several types, an unknown method or no F1 at all.

    References
    ----------
    Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> augmentation(table)
    """
    output = Output(show, save, return_fig, ax)
    check_table(table, "augmentation", ("label", "kept", "seed", "method", "f1"))
    if len(labels := table["label"].unique()) > 1:
        raise ValueError(f"table has several types {list(labels)}; plot one at a time.")
    if unknown := [name for name in table["method"].unique() if name not in _METHODS]:
        raise ValueError(f"table has unknown methods {unknown}; give that of activa.experiments.augmentation.")
    known = table.dropna(subset="f1")
    if known.empty:
        raise ValueError("table has no F1; there is nothing to plot.")
    methods = [name for name in _METHODS if (known["method"] == name).any()]
    with output.panel(7, 4.4) as ax:
        for i, name in enumerate(methods):
            runs = known[known["method"] == name]
            kept = np.sort(runs["kept"].unique())
            f1 = [runs.loc[runs["kept"] == number, "f1"].to_numpy() for number in kept]
            mean, lower, upper = np.array([t_interval(values) for values in f1]).T
            label, color, marker = _METHODS[name]
            at = kept * 1.03 ** (i - (len(methods) - 1) / 2)
            # one seed has a mean, and no interval
            bars = np.nan_to_num([mean - np.clip(lower, 0, 1), np.clip(upper, 0, 1) - mean])
            ax.errorbar(
                at, mean, bars, label=label, color=color, marker=marker, ms=6, lw=1.5, elinewidth=1, capsize=2.5
            )
        numbers = np.sort(known["kept"].unique())
        ax.set(xscale="log", ylim=(-0.03, 1.03), xlabel="Training cells of the type that were kept")
        ax.set_ylabel("F1 of the type, held-out cells")
        ax.set_xticks(numbers, [f"{number:,}" for number in numbers])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.spines[["top", "right"]].set_visible(False)
        n_seeds = known["seed"].nunique()
        told = f"mean and 95% interval of {n_seeds} seeds" if n_seeds > 1 else "one seed"
        ax.set_title(f"{labels[0]}: {told}", fontsize="medium")
        legend_right(ax, title="Added cells")
        return output.finish(ax)
