"""Types: which are recognized, which differ from real cells, and what added cells of a rare type gain."""

from __future__ import annotations

from typing import Any, Unpack

import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import NullLocator, PercentFormatter
from scipy.stats import t
from sklearn.metrics import confusion_matrix

from activa.metrics.samples import Splits
from activa.metrics.type_evaluation import recognitions
from activa.pl import parts
from activa.pl.output import OnAxes, Output, Panel, Panels, Where, documented

_MAX_WITH_NUMBERS = 15
_SUMMARIES = ["accuracy", "macro average", "weighted average"]
_SCORES = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
_TITLES = {"train": "Training cells", "test": "Test cells"}
_MARKERS = "osD^vP"
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


@documented
def confusion(
    real: AnnData,
    synthetic: AnnData,
    *,
    labels_key: str,
    layer: str | None = None,
    normalized: bool = False,
    seed: int = 0,
    **where: Unpack[Where],
) -> Panels:
    """Types that cells are labeled as against those that an independent classifier recognizes, in both sets.

    The classifiers are those of ``label_fidelity`` in :func:`activa.metrics.evaluate`, trained on halves of the real cells,
    and asked for the other halves (left panel) and for halves of the synthetic cells (right panel). The titles
    have the figures of that table for the same cells and seed: its floor and its value. Each row, a type, sums to 1; up to
    15 types have numbers, from 0.005 on. A row without cells is gray.

    {parameters, sets, labels_key, layer, normalized}
    seed
        Seed of the components and the halves. The global random state does not change.
    {output, errors, example}
    """
    output = Output(**where)
    cells = parts.read_pair(real, synthetic, labels_key, layer, normalized=normalized)
    if len(known := set(cells["real"].types)) < 2:
        raise ValueError(f"real must have at least two types in {labels_key!r}, got {sorted(known)}.")
    return draw_confusion(Splits(cells, real.var_names, seed), output)


def draw_confusion(splits: Splits, output: Output) -> Panels:
    """The plot of :func:`confusion`."""
    types = parts.all_types({"real": splits.real.cells, "synthetic": splits.synthetic.cells})
    is_small = len(types) <= _MAX_WITH_NUMBERS
    width = (0.42 if is_small else 0.2) * len(types)
    names = 0.07 * max(map(len, types))
    with output.figure(2 * max(width, 2.4) + names + 1.6, max(width, 2.4) + names + 0.7) as figure:
        axes = list(figure.subplots(1, 2, sharey=True))
        for ax, (name, (asked, found)) in zip(axes, recognitions(splits).items(), strict=True):
            shares = confusion_matrix(asked, found, labels=types, normalize="true")
            shares[~np.isin(types, asked)] = np.nan
            image = ax.imshow(shares, vmin=0, vmax=1, cmap="cividis", interpolation="nearest")
            ax.set_facecolor("#bbbbbb")
            if is_small:
                parts.write_shares(ax, shares, ".2f", least=0.005, fontsize="x-small")
            size = "small" if is_small else "x-small"
            ax.set_xticks(range(len(types)), types, rotation=90, fontsize=size)
            ax.set_yticks(range(len(types)), types, fontsize=size)
            ax.tick_params(length=0)
            ax.set_xlabel("Recognized")
            # rounded as on the page of a report
            right = round(float(np.mean(found == asked)), 9)
            ax.set_title(f"{name.capitalize()} cells ({right:.3f} recognized)", fontsize="medium")
        axes[0].set_ylabel("Labeled as")
        figure.colorbar(image, ax=axes, shrink=0.8, label="Share of the row's cells")
        return output.finish(axes)


@documented
def classifier_report(table: pd.DataFrame, **where: Unpack[Where]) -> Panels:
    """Precision, recall and F1 of the model's classifier as a heat map with numbers, one panel per set of cells.

    One row per type and, below a line, accuracy and averages; the last column has the numbers of cells (tables S5 to S7).

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "classifier_report", ("set", "type", *_SCORES, "cells"))
    sets, summaries = table["set"].unique(), table["type"].isin(_SUMMARIES)
    # a type may be in one of the sets only
    types = [*sorted(table.loc[~summaries, "type"].unique()), *table.loc[summaries, "type"].unique()]
    longest = max(len(label) for label in types)
    with output.figure(3.4 * len(sets) + 0.09 * longest + 0.8, 0.29 * len(types) + 1) as figure:
        axes = list(figure.subplots(1, len(sets), squeeze=False, sharey=True)[0])
        for ax, name in zip(axes, sets, strict=True):
            image = _score_map(ax, table[table["set"] == name].set_index("type").reindex(types))
            ax.set_title(_TITLES.get(name, name), fontsize="medium")
        axes[0].set_yticks(range(len(types)), types)
        figure.colorbar(image, ax=axes, label="Score", aspect=30)
        return output.finish(axes)


def _score_map(ax: Axes, scores: pd.DataFrame) -> AxesImage:
    values = scores[list(_SCORES)].to_numpy(dtype=float)
    # the fourth column, the numbers of cells, has no color
    shown = np.column_stack([values, np.full(len(values), np.nan)])
    image = ax.imshow(shown, vmin=0, vmax=1, cmap="cividis", aspect="auto", interpolation="nearest")
    parts.write_shares(ax, values, ".3f", fontsize="small")
    for row, cells in enumerate(scores["cells"]):
        if np.isfinite(cells):
            ax.text(len(_SCORES), row, f"{int(cells):,}", ha="center", va="center", fontsize="small")
    n_types = int((~scores.index.isin(_SUMMARIES)).sum())
    ax.axhline(n_types - 0.5, color="#000000", lw=1.5)
    ax.set_xticks(range(len(_SCORES) + 1), [*_SCORES.values(), "Cells"])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return image


@documented
def differential_state(table: pd.DataFrame, **where: Unpack[OnAxes]) -> Panel:
    """Share of genes whose expression does not differ from that of real cells, one dot per type and set.

    100%, a dashed line, is best. The legend has the mean of each set over its types. A set with too few cells of a type has
    no dot there (figure S10 of the paper).

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "differential_state", ("set", "type", "differential"))
    shares = 1 - table.groupby(["set", "type"], observed=True)["differential"].mean()
    colors, types = parts.set_colors(table), list(np.unique(table["type"].astype(str)))
    with output.panel(6.4, 1.5 + max(len(types), 3) * (0.16 + 0.12 * len(colors))) as ax:
        for i, (name, color) in enumerate(colors.items()):
            of_set = shares.xs(name, level="set")
            at = [types.index(str(label)) + parts.offset(i, len(colors), 0.6) for label in of_set.index]
            style: dict[str, Any] = {"color": color, "marker": _MARKERS[i % len(_MARKERS)], "s": 28, "zorder": 3}
            ax.scatter(of_set, at, label=f"{name} (mean {of_set.mean():.1%})", **style)
        ax.axvline(1, color="#000000", lw=1, ls="--", zorder=1)
        parts.name_rows(ax, types, striped=True)
        span = 1 - min(shares.min(), 0.95)
        ax.set(xlim=(1 - 1.05 * span, 1 + 0.03 * span), ylabel="Type", xlabel="Genes without differential state")
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        parts.open_frame(ax)
        parts.legend_above(ax, min(len(colors), 3), title="Real against generated cells, pseudobulk DESeq2")
        return output.finish(ax)


@documented
def augmentation(table: pd.DataFrame, **where: Unpack[OnAxes]) -> Panel:
    """F1 of the type made rare against the number of its cells that were kept, one curve per method.

    Means over seeds, with 95% intervals of Student's t, cut off at 0 and 1. Methods stand a little beside each other, to
    tell their intervals apart. The table must have one type.

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "augmentation", ("label", "kept", "seed", "method", "f1"))
    if len(labels := table["label"].unique()) > 1:
        raise ValueError(f"table must have one type in 'label', got several types {list(labels)}: plot one at a time.")
    known = table.dropna(subset="f1")
    if known.empty:
        raise ValueError("table has no F1: give runs with one.")
    others = [name for name in known["method"].unique() if name not in _METHODS]
    styles = _METHODS | {name: (name, parts.OTHERS[i % 6], _MARKERS[i % 6]) for i, name in enumerate(others)}
    methods = [name for name in styles if (known["method"] == name).any()]
    with output.panel(7, 4.4) as ax:
        for i, name in enumerate(methods):
            f1 = known[known["method"] == name].groupby("kept")["f1"]
            mean, count = f1.mean(), f1.count()
            half = t.ppf(0.975, (count - 1).clip(lower=1)) * f1.std() / np.sqrt(count)
            # one seed has a mean but no interval
            bars = np.nan_to_num([mean - (mean - half).clip(lower=0), (mean + half).clip(upper=1) - mean])
            label, color, marker = styles[name]
            at = mean.index.to_numpy() * 1.03 ** parts.offset(i, len(methods), len(methods))
            style: dict[str, Any] = {"ms": 6, "lw": 1.5, "elinewidth": 1, "capsize": 2.5}
            ax.errorbar(at, mean.to_numpy(), bars, label=label, color=color, marker=marker, **style)
        numbers = np.sort(known["kept"].unique())
        ax.set(xscale="log", ylim=(-0.03, 1.03), xlabel="Training cells of the type that were kept")
        ax.set_ylabel("F1 of the type, held-out cells")
        ax.set_xticks(numbers, [f"{number:,}" for number in numbers])
        ax.xaxis.set_minor_locator(NullLocator())
        parts.open_frame(ax)
        n_seeds = known["seed"].nunique()
        told = f"mean and 95% interval of {n_seeds} seeds" if n_seeds > 1 else "one seed"
        ax.set_title(f"{labels[0]}: {told}", fontsize="medium")
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="Added cells", frameon=False)
        return output.finish(ax)
