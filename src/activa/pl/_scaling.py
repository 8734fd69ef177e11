"""Time against cells."""

from __future__ import annotations

from os import PathLike

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from activa.pl._finish import Output
from activa.pl._legends import legend_right
from activa.pl._tables import check_table

_TIMES = {
    "seconds_train": ("training", "#0072b2", "o"),
    "seconds_per_epoch": ("an epoch", "#56b4e9", "s"),
    "seconds_generate": ("generating", "#d55e00", "^"),
}
_LINES = ["-", "--", ":"]


def scaling(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | PathLike[str] | None = None,
    return_fig: bool = False,
) -> Figure | Axes | None:
    """Seconds to train, of an epoch and to generate, against the number of cells, on logarithmic axes.

    Configurations differ in their lines.

    Parameters
    ----------
    table
        What :func:`activa.experiments.scaling` gave, or several of them one below the other.
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
    Table S4 of Heydari et al. 2022, doi:10.1093/bioinformatics/btac095.

    Examples
    --------
    >>> scaling(table)
    """
    output = Output(show, save, return_fig, ax)
    check_table(table, "scaling", ("n_cells", "n_genes", "configuration", "n_generated", *_TIMES))
    with output.panel(8, 4.2) as ax:
        configurations = table["configuration"].unique()
        for i, configuration in enumerate(configurations):
            runs = table[table["configuration"] == configuration].sort_values("n_cells")
            for column, (label, color, marker) in _TIMES.items():
                if column == "seconds_generate":
                    label = f"{label} {' or '.join(f'{n:,}' for n in runs['n_generated'].unique())} cells"
                if len(configurations) > 1:
                    label = f"{label} ({configuration})"
                line = _LINES[i % len(_LINES)]
                ax.plot(runs["n_cells"], runs[column], color=color, marker=marker, ls=line, lw=1.5, label=label)
        sizes = sorted(table["n_cells"].unique())
        ax.set(xscale="log", yscale="log", xlabel="Training cells", ylabel="Seconds")
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
        ax.xaxis.set_minor_locator(NullLocator())
        # whole decades, so that there are two numbers at least to read times by
        seconds = np.log10(table[list(_TIMES)].to_numpy())
        ax.set_ylim(10.0 ** np.floor(seconds.min()), 10.0 ** np.ceil(seconds.max()))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.spines[["top", "right"]].set_visible(False)
        genes = " or ".join(f"{n:,}" for n in table["n_genes"].unique())
        ax.set_title(f"Random matrices of {genes} genes", fontsize="medium")
        legend_right(ax, title="Time of")
        return output.finish(ax)
