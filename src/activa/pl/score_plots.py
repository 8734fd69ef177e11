"""Scores and costs: metrics against their floors, ROC curves, losses by epoch, margins, and time against cells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator, PercentFormatter

from activa.metrics import METRICS, Metric
from activa.pl import parts
from activa.pl.output import OnAxes, Output, Panel, Panels, Where, documented

_STYLES = list(zip([parts.REAL, *parts.OTHERS], "osD^vPX", strict=True))
_COLUMN = 92  # points of width for the numbers of a generator
_TRAIN, _VALIDATION = ("train", parts.REAL, "-", "o"), ("validation", parts.OTHERS[3], "--", "s")
_PANELS: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "Loss": {"train_loss": _TRAIN, "validation_loss": _VALIDATION},
    "Reconstruction, $L_{AE}$": {"reconstruction_loss_train": _TRAIN, "reconstruction_loss_validation": _VALIDATION},
    "KL divergence, $L_{REG}$": {
        "kl_local_train": _TRAIN,
        "kl_local_validation": _VALIDATION,
        "kl_reconstructed": ("reconstructed cells", parts.OTHERS[1], "-.", "^"),
        "kl_generated": ("generated cells", parts.OTHERS[2], ":", "D"),
    },
    "Library size": {"library_nll_train": _TRAIN, "library_nll_validation": _VALIDATION},
    "Classifier": {"classification_loss_train": _TRAIN, "classification_loss_validation": _VALIDATION},
    "Introspection": {
        "introspective_encoder": ("encoder's term", "#000000", "-", "o"),
        "introspective_generator": ("generator's term", parts.OTHERS[4], "--", "s"),
    },
    "Realism": {"realism_validation": _VALIDATION},
}
_TIMES = {
    "seconds_train": ("training", "#0072b2", "o"),
    "seconds_per_epoch": ("an epoch", "#56b4e9", "s"),
    "seconds_generate": ("generating", "#d55e00", "^"),
}
_LINES = ["-", "--", ":"]


@documented
def metrics(table: pd.DataFrame | Mapping[str, pd.DataFrame], **where: Unpack[OnAxes]) -> Panel:
    r"""Each metric of :func:`activa.metrics.evaluate` against its floor, one dot per generator.

    Metrics have different units, so a dot shows the share of the way from the floor f, where real cells stand, to the
    worst possible value: 0, the vertical line, is the floor and 100% the worst. A value v stands at :math:`(v - f) / (w
    - f)` if the worst w is known, as 1 for an area under the curve. A distance without an upper limit stands at
    :math:`1 - f / v`, 50% for twice the floor, or at :math:`v / f - 1` below it; of squared discrepancies the roots are
    taken first. Left of the line a generator is better than real cells, by chance or because its cells are copies; but
    a metric with a star is best at the floor, and worse on either side. A small line marks the best value if it is not
    the floor. Values are printed, with their floors in brackets.

    Parameters
    ----------
    table
        The table of :func:`activa.metrics.evaluate`, or a mapping of up to seven generators' names to such tables.
    {output}

    Examples
    --------
    >>> metrics({"ACTIVA": activa.metrics.evaluate(held_out, synthetic), "scVI": other_table})  # doctest: +SKIP
    """
    output = Output(**where)
    tables = _metric_tables(table)
    names = [name for name in METRICS if any(name in of.index for of in tables.values())]
    n_tables = len(tables)
    with output.panel(5.4 + n_tables * _COLUMN / 72, 1.5 + len(names) * (0.2 + 0.1 * n_tables)) as ax:
        parts.name_rows(ax, [name + " *" * METRICS[name].two_sided for name in names], striped=True)
        ax.axvline(0, color="#000000", lw=1.2, zorder=1)
        for i, (generator, of) in enumerate(tables.items()):
            of = of.loc[[name for name in names if name in of.index]]
            rows = np.array([names.index(name) for name in of.index])
            at = rows + parts.offset(i, n_tables, 0.6)
            color, marker = _STYLES[i]
            best = _positions(of, "best")
            apart = np.abs(best) > 0
            ax.scatter(best[apart], at[apart], color="#666666", marker="|", s=50, zorder=2)
            style: dict[str, Any] = {"color": color, "marker": marker, "s": 34, "zorder": 3}
            ax.scatter(_positions(of, "value"), at, label=parts.shorten(generator, 30), **style)
            _print_values(ax, 10 + i * _COLUMN, generator, rows, of)
        stars = "* best at the floor, worse on either side;  | best elsewhere"
        ax.set_xlabel(f"From the floor (0%) to the worst (100%)\n{stars}")
        ax.xaxis.set_major_formatter(PercentFormatter(1))
        parts.open_frame(ax, "left")
        if n_tables > 1:
            parts.legend_above(ax, pad=2)
        return output.finish(ax)


def _metric_tables(table: pd.DataFrame | Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables by name, checked."""
    tables = dict(table) if isinstance(table, Mapping) else {"value": table}
    if not 1 <= len(tables) <= len(_STYLES):
        raise ValueError(f"table must hold one to {len(_STYLES)} tables, got {len(tables)}.")
    for name, of in tables.items():
        told = f"table[{name!r}]" if isinstance(table, Mapping) else "table"
        if not isinstance(of, pd.DataFrame):
            raise TypeError(f"{told} must be the DataFrame of activa.metrics.evaluate, got {type(of).__name__}.")
        if absent := [column for column in ("value", "floor", "best") if column not in of]:
            raise ValueError(f"{told} lacks {absent}: give the table of activa.metrics.evaluate.")
        if unknown := [metric for metric in of.index if metric not in METRICS]:
            raise ValueError(f"{told} has unknown metrics {unknown}: its index must be among {list(METRICS)}.")
        if of.empty or not of.index.is_unique:
            raise ValueError(f"{told} must have one row per metric, got {list(of.index)}.")
    return {str(name): of for name, of in tables.items()}


def _positions(table: pd.DataFrame, column: str) -> np.ndarray:
    """Positions of values between the floor (0) and the worst (1); NaN for unknown ones."""
    rows = zip(table.index, table[column], table["floor"], strict=True)
    return np.array([_position(METRICS[str(name)], float(value), float(floor)) for name, value, floor in rows])


def _position(metric: Metric, value: float, floor: float) -> float:
    worst = metric.worst
    if math.isnan(value) or math.isnan(floor):
        return math.nan
    if metric.squared:
        value, floor, worst = (math.sqrt(max(x, 0)) for x in (value, floor, worst))
    if value == floor:
        return 0.0
    if math.isinf(worst):
        return 1 - floor / value if value > floor else value / floor - 1
    return (value - floor) / (worst - floor) if worst != floor else math.nan


def _print_values(ax: Axes, left: float, generator: str, rows: np.ndarray, table: pd.DataFrame) -> None:
    """The numbers of a generator in a column, ``left`` points to the right of the panel."""
    style: Any = {"textcoords": "offset points", "va": "center", "fontsize": "x-small", "annotation_clip": False}
    ax.annotate(parts.shorten(generator, 18) + " (floor)", (1, 1), (left, 6), xycoords="axes fraction", **style)
    for row, value, floor in zip(rows, table["value"], table["floor"], strict=True):
        told = "none" if np.isnan(value) else f"{value:.3g} ({floor:.3g})"
        ax.annotate(told, (1, row), (left, 0), xycoords=("axes fraction", "data"), **style)


@documented
def rf_detection(table: pd.DataFrame, **where: Unpack[OnAxes]) -> Panel:
    """ROC curves of the forests that tell generated from real cells: a thin line per fold, and their mean.

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "rf_detection", ("set", "fold", "false_positive_rate", "true_positive_rate", "auc"))
    at = np.linspace(0, 1, 201)
    with output.panel(4.8, 4.8) as ax:
        for name, color in parts.set_colors(table).items():
            rates, areas = [], []
            for _, curve in table[table["set"] == name].groupby("fold"):
                x, y = curve["false_positive_rate"], curve["true_positive_rate"]
                ax.plot(x, y, color=color, lw=0.6, alpha=0.35)
                rates.append(np.interp(at, x, y))
                areas.append(curve["auc"].iloc[0])
            label = f"{name}: {np.mean(areas):.3f} ± {np.std(areas, ddof=1):.3f}"
            ax.plot(at, np.mean(rates, axis=0), color=color, lw=2, label=label)
        ax.plot([0, 1], [0, 1], color="#888888", lw=1, ls="--", label="chance: 0.5")
        ax.set(xlim=(0, 1), ylim=(0, 1), box_aspect=1)
        ax.set(xlabel="Real cells taken for generated", ylabel="Generated cells recognized")
        ax.set_title("A forest's area under the curve, over folds", fontsize="medium")
        ax.legend(loc="lower right", frameon=False, fontsize="small")
        return output.finish(ax)


@documented
def history(model: Any, **where: Unpack[Where]) -> Panels:
    """Losses by epoch, of training cells and, if there were any, of validation cells.

    One panel for the whole loss and one for each of its terms; for a game also its introspective terms, ``L_REG`` of
    reconstructed and of generated cells, the margin m of the hinge, and a vertical line at the first epoch of the game;
    and the realism of generated cells where it was measured.

    Parameters
    ----------
    model
        A trained :class:`~activa.ACTIVA`; a TypeError or ValueError for another, or before it is trained.
    {output}

    Examples
    --------
    >>> history(model)  # doctest: +SKIP
    """
    output = Output(**where)
    if not hasattr(model, "history"):
        raise TypeError(f"model must be an ACTIVA, got {type(model).__name__}.")
    logged = {name: table.iloc[:, 0].astype(float).dropna() for name, table in (model.history or {}).items()}
    logged = {name: values for name, values in logged.items() if len(values)}
    shown = {title: terms for title, terms in _PANELS.items() if any(name in logged for name in terms)}
    if not shown:
        raise ValueError("model has no history: call model.train() first.")
    epochs = np.concatenate([values.index for values in logged.values()])
    room = 0.02 * np.ptp(epochs)
    n_columns = min(len(shown), 3)
    n_rows = -(-len(shown) // n_columns)
    with output.figure(3.4 * n_columns, 2.6 * n_rows + 0.5) as figure:
        axes = parts.panels(figure, len(shown), n_rows, n_columns)
        for ax, (title, terms) in zip(axes, shown.items(), strict=True):
            for name, (label, color, line, marker) in terms.items():
                if name in logged:
                    # one epoch is a point, not a line
                    style: dict[str, Any] = {"marker": marker, "ms": 3} if len(logged[name]) == 1 else {}
                    ax.plot(logged[name].index, logged[name], color=color, ls=line, lw=1.5, label=label, **style)
            if "introspective_encoder" in logged:
                start = logged["introspective_encoder"].index[0]
                ax.axvline(start, color="#888888", lw=1, zorder=0, label="introspection begins")
            if "kl_generated" in terms and "margin" in logged:
                margin = logged["margin"].iloc[-1]
                ax.axhline(margin, color="#000000", lw=1, ls=(0, (1, 2)), label=f"margin m = {margin:.3g}")
            ax.set(title=title, xlabel="Epoch", xlim=(epochs.min() - room, epochs.max() + room))
            parts.open_frame(ax)
        labeled = [ax.get_legend_handles_labels() for ax in axes]
        entries = {label: handle for both in labeled for handle, label in zip(*both, strict=True)}
        style = {"loc": "outside upper center", "frameon": False, "fontsize": "small"}
        figure.legend(entries.values(), entries, ncols=min(len(entries), 4 if n_columns > 2 else 2), **style)
        return output.finish(axes)


@documented
def margin_search(table: pd.DataFrame, **where: Unpack[Where]) -> Panels:
    """Forest AUC and Wasserstein distance against the hinge's margin m, the best m marked (the paper's supplement G).

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "margin_search", ("margin", "rf_auc", "wasserstein", "best"))
    best = table.loc[table["best"], "margin"].item()
    titles = {"rf_auc": "A forest's area under the curve", "wasserstein": "Wasserstein-2 distance"}
    with output.figure(7.6, 3.4) as figure:
        axes = list(figure.subplots(1, 2))
        for ax, (column, title) in zip(axes, titles.items(), strict=True):
            ax.plot(table["margin"], table[column], "o-", color=parts.REAL)
            ax.axvline(best, color="#888888", lw=1, ls="--", zorder=0)
            ax.text(best, 1.01, f"best: {best:g}", transform=ax.get_xaxis_transform(), ha="center", fontsize="small")
            ax.set(xlabel="margin m, nats", ylabel=title)
        return output.finish(axes)


@documented
def scaling(table: pd.DataFrame, **where: Unpack[OnAxes]) -> Panel:
    """Seconds to train, per epoch and to generate, against the number of cells, on logarithmic axes.

    Several tables, one below the other, have one style of lines per configuration (table S4 of the paper).

    {table}
    """
    output = Output(**where)
    parts.check_table(table, "scaling", ("n_cells", "n_genes", "configuration", "n_generated", *_TIMES))
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
        # whole decades have at least two numbers to read times by
        seconds = np.log10(table[list(_TIMES)].to_numpy())
        ax.set_ylim(10.0 ** np.floor(seconds.min()), 10.0 ** np.ceil(seconds.max()))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        parts.open_frame(ax)
        genes = " or ".join(f"{n:,}" for n in table["n_genes"].unique())
        ax.set_title(f"Random matrices of {genes} genes", fontsize="medium")
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), title="Time of", frameon=False)
        return output.finish(ax)
