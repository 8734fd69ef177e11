"""Scores and costs: metrics against their floors, ROC curves, losses by epoch, margins, and time against cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Unpack

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from activa.metrics import METRICS
from activa.metrics.evaluation import alarm_threshold
from activa.pl import parts
from activa.pl.output import OnAxes, Output, Panel, Panels, Where, documented

_STYLES = list(zip([parts.REAL, *parts.OTHERS], "osD^vPX", strict=True))
_FIGURES = ["value", "low", "high", "floor", "floor_low", "floor_high", "best"]
_FURTHEST = 1000  # standard errors; those beyond stand here
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
    """How much worse than real cells each metric of :func:`activa.metrics.evaluate` is, one mark per generator.

    Metrics have different units, so all are in standard errors of the difference from the floor: 0, the vertical line,
    is where other real cells stand, and further right is worse. A line is the 95% interval of the value, a gray bar that of
    the floor. Marks are filled where the judgment is "unlike real", which begins at the dashed line; of real cells, at most
    5% have any such mark. The axis is linear up to 10 and logarithmic beyond, up to 1,000. A metric with a star is best at
    the floor: both sides of it are drawn to the right. A small upright line is the refit floor, if the table has one.

    Parameters
    ----------
    table
        The table of :func:`activa.metrics.evaluate` for one or up to seven generators, or a mapping of generators' names to
        tables of one.
    {output}

    Examples
    --------
    >>> metrics(activa.metrics.evaluate(held_out, {"ACTIVA": synthetic, "scVI": other}))  # doctest: +SKIP
    """
    output = Output(**where)
    tables = _metric_tables(table)
    names = [name for name in METRICS if any(name in of.index for of in tables.values())]
    height = 0.6 / len(tables)
    with output.panel(7.2, 1.5 + len(names) * (0.2 + 0.08 * len(tables))) as ax:
        parts.name_rows(ax, [name + " *" * METRICS[name].two_sided for name in names], striped=True)
        ax.axvline(0, color="#000000", lw=1.2, zorder=1)
        ax.axvline(alarm_threshold(), color="#000000", lw=1, ls="--", zorder=1, label="unlike real (filled) from here")
        for i, (generator, of) in enumerate(tables.items()):
            at = np.array([names.index(name) for name in of.index]) + parts.offset(i, len(tables), 0.6)
            x = _standard_errors(of)
            ax.barh(at, x["floor_high"] - x["floor_low"], height, x["floor_low"], color="#b8b8b8", zorder=2)
            ax.hlines(at, x["low"], x["high"], color=_STYLES[i][0], lw=1.2, zorder=3)
            if "refit" in x:
                ax.scatter(x["refit"], at, color="#000000", marker="|", s=50, zorder=4)
            face = np.where(of["judgment"] == "unlike real", _STYLES[i][0], "#ffffff")
            style: dict[str, Any] = {"marker": _STYLES[i][1], "edgecolors": _STYLES[i][0], "s": 34, "zorder": 5}
            ax.scatter(x["value"], at, c=face, **style)
            ax.scatter([], [], color=_STYLES[i][0], marker=_STYLES[i][1], label=parts.shorten(generator, 30))
        ax.set_xscale("symlog", linthresh=10, linscale=1.5)
        ticks = [
            tick for tick in (-100, -10, -5, 0, 5, 10, 100, _FURTHEST) if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]
        ]
        ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        ax.set_xlabel("Worse than other real cells, in standard errors\n(* best at the floor: either side is worse)")
        parts.open_frame(ax, "left")
        parts.legend_above(ax, min(len(tables) + 1, 3))
        return output.finish(ax)


def _metric_tables(table: pd.DataFrame | Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables by name, checked."""
    if isinstance(table, pd.DataFrame) and isinstance(table.index, pd.MultiIndex):
        table = {str(name): of.droplevel(0) for name, of in table.groupby(level=0, sort=False)}
    tables = dict(table) if isinstance(table, Mapping) else {"value": table}
    if not 1 <= len(tables) <= len(_STYLES):
        raise ValueError(f"table must hold one to {len(_STYLES)} tables, got {len(tables)}.")
    for name, of in tables.items():
        told = f"table[{name!r}]" if isinstance(table, Mapping) else "table"
        if not isinstance(of, pd.DataFrame):
            raise TypeError(f"{told} must be the DataFrame of activa.metrics.evaluate, got {type(of).__name__}.")
        if absent := [column for column in (*_FIGURES, "deviation", "judgment") if column not in of]:
            raise ValueError(f"{told} lacks {absent}: give the table of activa.metrics.evaluate.")
        if unknown := [metric for metric in of.index if metric not in METRICS]:
            raise ValueError(f"{told} has unknown metrics {unknown}: its index must be among {list(METRICS)}.")
        if of.empty or not of.index.is_unique:
            raise ValueError(f"{told} must have one row per metric, got {list(of.index)}.")
    return {str(name): of for name, of in tables.items()}


def _standard_errors(table: pd.DataFrame) -> pd.DataFrame:
    """The figures of a table in standard errors from the floor, worse ones above 0; NaN where no error is known."""
    metrics = [METRICS[str(name)] for name in table.index]
    # a classifier's floor is chance
    reference = np.where([metric.detects for metric in metrics], table["best"], table["floor"])
    deviation = table["deviation"].to_numpy(dtype=float)
    worse = np.where([metric.higher_is_better for metric in metrics], -1.0, 1.0)
    worse = np.where([metric.two_sided for metric in metrics] & (deviation < 0), -1.0, worse)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = (table["value"] - reference) / deviation
        scaled = (
            table[[name for name in (*_FIGURES, "refit") if name in table]].sub(reference, axis=0).div(error, axis=0)
        )
    scaled["value"] = deviation
    return scaled.mul(worse, axis=0).clip(-_FURTHEST, _FURTHEST)


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
