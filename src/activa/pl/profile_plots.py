"""Facts of cells: how depth, detected genes, large and single counts of a cell fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from activa.metrics import profiles
from activa.pl import parts
from activa.pl.output import Output, Panels, Where, documented

_FACTS = {
    "genes": "Genes detected",
    "largest_share": "Largest gene's share of counts",
    "ones_share": "Ones among non-zero counts",
    "concentration": "Concentration of counts",
    "mitochondrial_share": "Mitochondrial counts",
    "ribosomal_share": "Ribosomal counts",
}
_MAX_BINS = 15
_CELLS_OF_BIN = 20


@documented
def cell_profiles(
    real: AnnData,
    synthetic: AnnData | Mapping[str, AnnData],
    *,
    layer: str | None = None,
    **where: Unpack[Where],
) -> Panels:
    """Facts of cells against their depth: one row of panels per generator, each with the real cells.

    Lines are medians, bands reach from the 10% to the 90% quantile, both of bins with equal numbers of cells of a set,
    which hold 20 or more and share an axis from row to row. The facts are those of :func:`activa.metrics.cell_profiles`, on
    which ``profile_auc`` is trained. Cells without counts are left out.

    {parameters, generators, layer, output, errors, sets_example}
    """
    output = Output(**where)
    cells = parts.read_sets(real, synthetic, None, layer)
    generators = [name for name in cells if name != "real"]
    facts = {
        name: _read_facts(name, profiles.cell_profiles(of.raw_counts, list(real.var_names)))
        for name, of in cells.items()
    }
    shown = [name for name in _FACTS if name in facts["real"]]
    width = 2.1 * len(shown)
    with output.figure(width, 2.2 * len(generators) + 0.9) as figure:
        grid = figure.subplots(len(generators), len(shown), squeeze=False, sharex=True, sharey="col")
        for i, (row, generator) in enumerate(zip(grid, generators, strict=True)):
            for ax, fact in zip(row, shown, strict=True):
                _draw_trend(ax, facts["real"], fact, parts.REAL, "-")
                _draw_trend(ax, facts[generator], fact, parts.OTHERS[i], "--")
                if fact != "genes":
                    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
                parts.open_frame(ax)
                ax.tick_params(labelsize="small")
                if i == 0:
                    parts.panel_title(ax, _FACTS[fact], 18)
                if i == len(generators) - 1:
                    ax.set_xlabel("Total counts", fontsize="small")
            row[0].set_ylabel(parts.shorten(generator, 24))
            parts.log_ticks(row[0].yaxis, _all_values(facts, "genes"))
            for ax in row:
                parts.log_ticks(ax.xaxis, _all_values(facts, "depth"))
        handles = [grid[0, 0].lines[0], *(row[0].lines[1] for row in grid)]
        names = ["real", *(parts.shorten(name, 24) for name in generators)]
        figure.legend(
            handles, names, loc="outside upper center", ncols=int(width // 2.5), frameon=False, fontsize="small"
        )
        return output.finish(list(grid.flat))


def _all_values(facts: Mapping[str, pd.DataFrame], fact: str) -> np.ndarray:
    """Values of all sets but the most extreme hundredths, which no bin shows."""
    return np.quantile(np.concatenate([of[fact] for of in facts.values()]), [0.01, 0.99])


def _read_facts(name: str, facts: pd.DataFrame) -> pd.DataFrame:
    """Facts of the cells that have counts, the depth and the genes as numbers instead of logarithms."""
    facts = facts.assign(depth=np.expm1(facts["log_counts"]).round(), genes=np.expm1(facts["genes"]).round())
    parts.check_any(name, facts["depth"].to_numpy())
    return facts[facts["depth"] > 0].sort_values("depth", kind="stable")


def _draw_trend(ax: Axes, facts: pd.DataFrame, fact: str, color: str, line: str) -> None:
    """Median and 10% to 90% quantiles of a fact in bins of cells of like depth."""
    n_bins = int(np.clip(len(facts) // _CELLS_OF_BIN, 1, _MAX_BINS))
    bins = np.array_split(facts[["depth", fact]].to_numpy(), n_bins)
    depth = [np.median(of[:, 0]) for of in bins]
    low, median, high = np.array([np.quantile(of[:, 1], [0.1, 0.5, 0.9]) for of in bins]).T
    ax.fill_between(depth, low, high, color=color, alpha=0.25, linewidth=0)
    # few cells are one bin, which has no line
    ax.plot(depth, median, color=color, lw=1.6, ls=line, marker="o" if n_bins == 1 else None)
