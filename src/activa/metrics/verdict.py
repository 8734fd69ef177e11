"""The verdict in words: whether cells can be told from real ones, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from activa.metrics.catalog import METRICS

type Grade = Literal["as real", "close", "different", "far", "unknown"]

# Largest area under the curve of each grade, and what it means.
_GRADES: tuple[tuple[float, Grade, str], ...] = (
    (0.53, "as real", "A random forest hardly tells these cells from real ones."),
    (0.6, "close", "A random forest tells these cells from real ones, but only a little better than by guessing."),
    (0.75, "different", "A random forest tells many of these cells from real ones."),
    (1.01, "far", "A random forest easily tells these cells from real ones."),
)
_AS_REAL = 0.55  # upper end of an interval that holds 0.5, above which too few cells were given
_MAX_TYPES = 5  # named in a finding


@dataclass(frozen=True)
class Verdict:
    """What can be said of the cells of one generator."""

    grade: Grade
    headline: str
    meaning: str
    findings: tuple[str, ...]  # what is unlike real cells, worst first
    notes: tuple[str, ...]  # what could not be judged


def judge(table: pd.DataFrame, types: pd.DataFrame | None = None) -> Verdict:
    """Put the table of :func:`~activa.metrics.evaluate` for one generator into words.

    Parameters
    ----------
    table
        The table, with ``rf_auc``; a ValueError for another.
    types
        The table of :func:`~activa.metrics.evaluate_types`, which adds what is wrong with types.

    Returns
    -------
    The grade by the forest ("as real", "close", "different", "far", or "unknown" if there are too few cells to tell) with a
    ``headline`` and its ``meaning`` in numbers; the ``findings``, one for each metric whose cells are unlike real ones
    beyond chance, the largest deviation first, and on types; and ``notes`` on what could not be judged. With findings, the
    grade is at best "close".

    Examples
    --------
    >>> judge(evaluate(held_out, synthetic, labels_key="cell_type")).headline  # doctest: +SKIP
    """
    if not isinstance(table, pd.DataFrame) or not {"rf_auc"} <= set(table.index) or "judgment" not in table:
        raise ValueError("table must be that of activa.metrics.evaluate for one generator, with the metric 'rf_auc'.")
    findings = [*_type_findings(types), *_findings(table)] if types is not None else _findings(table)
    forest: Any = table.loc["rf_auc"]
    grade, headline = _grade(forest)
    others = [name for name in table.index[table["judgment"] == "unlike real"] if name != "rf_auc"]
    if grade == "as real" and findings:
        grade = "close"
        headline = headline.removesuffix(".") + f", but {_number(len(others), 'other metric')} of {len(table) - 1} can."
        if not others:
            headline = headline.split(", but")[0] + ", but some types are unlike real ones."
    return Verdict(grade, headline, _meaning(forest), tuple(findings), tuple(_notes(table, types)))


def _grade(forest: pd.Series) -> tuple[Grade, str]:
    value, low, high = (float(forest[name]) for name in ("value", "low", "high"))
    if np.isnan(value):
        return "unknown", "The random forest gave no figure for these cells."
    if low > 0.5:
        return next((grade, headline) for most, grade, headline in _GRADES if value <= most)
    if high <= _AS_REAL:
        return "as real", "A random forest cannot tell these cells from real ones."
    return "unknown", "There are too few cells to tell whether a random forest tells these cells from real ones."


def _meaning(forest: pd.Series) -> str:
    value, low, high, floor = (100 * float(forest[name]) for name in ("value", "low", "high", "floor"))
    return (
        f"Shown one real and one synthetic cell, a random forest picks the synthetic one {value:.0f} times in 100 (95% "
        f"interval {low:.0f} to {high:.0f}). Guessing gives 50; two sets of real cells gave {floor:.0f} here."
    )


def _findings(table: pd.DataFrame) -> list[str]:
    """A sentence for each metric that finds the cells unlike real ones, the largest deviation first."""
    unlike = table[table["judgment"] == "unlike real"]
    unlike = unlike.iloc[np.argsort(-unlike["deviation"].abs().to_numpy(), kind="stable")]
    sentences = []
    for name, row in unlike.iterrows():
        metric = METRICS[str(name)]
        fault = metric.fault_below if metric.two_sided and row["deviation"] < 0 else metric.fault
        figures = f"{name} {row['value']:.3g}; real cells {row['floor']:.3g}"
        sentences.append(f"{fault.removesuffix('.')} ({figures}).")
    return sentences


def _type_findings(types: pd.DataFrame) -> list[str]:
    """A sentence on the types that are unlike real ones, those recognized least first."""
    unlike = types[types["judgment"] == "unlike real"]
    if unlike.empty:
        return []
    unlike = unlike.iloc[np.argsort((unlike["recognized"] - unlike["recognized_real"]).to_numpy(), kind="stable")]
    named = [
        f"{label} ({row['recognized']:.0%} of {row['synthetic']:.0f} cells recognized, of real ones "
        f"{row['recognized_real']:.0%}; MMD² {row['mmd']:.2g}, of real ones up to {row['mmd_floor']:.2g})"
        for label, row in unlike.head(_MAX_TYPES).iterrows()
    ]
    more = f", and {len(unlike) - _MAX_TYPES} more" if len(unlike) > _MAX_TYPES else ""
    return [f"{_number(len(unlike), 'type')} of {len(types)} unlike real cells of the type: {', '.join(named)}{more}."]


def _notes(table: pd.DataFrame, types: pd.DataFrame | None) -> list[str]:
    notes = []
    if "copy_ratio" not in table.index:
        notes.append("Copies of training cells and overfitting were not tested: that needs the training cells (train).")
    elif table.loc["copy_ratio", "judgment"] == "as real":
        notes.append("There is no sign of copies of training cells. This is no proof of privacy.")
    if types is None:
        notes.append("Types were not judged: that needs their column (labels_key).")
        return notes
    for judgment, reason in (("cannot tell", "fewer than 20 cells of a set"), ("too few cells", "fewer than five")):
        of_types = types.index[types["judgment"] == judgment].astype(str).tolist()
        if of_types:
            listed = ", ".join(of_types[:_MAX_TYPES]) + (" and others" if len(of_types) > _MAX_TYPES else "")
            notes.append(f"Nothing can be said of {_number(len(of_types), 'type')} with {reason}: {listed}.")
    return notes


def _number(n: int, what: str) -> str:
    return f"{n} {what}" + ("s" if n != 1 else "")
