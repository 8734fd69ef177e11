"""What the page says about the cells: the verdict in words, and the table of types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from activa.data import Cells
from activa.metrics import Comparison, mmd
from activa.metrics.fidelity import recognize

type Grade = Literal["as real", "close", "different", "far", "unknown"]

# Maximum difference between the AUC and its floor for each grade. The forest's own noise is about 0.02.
_GRADES: tuple[tuple[float, Grade, str], ...] = (
    (0.03, "as real", "A random forest tells these cells from real ones hardly better than two sets of real cells."),
    (0.1, "close", "A random forest tells these cells from real ones only a little better than by chance."),
    (0.25, "different", "A random forest tells many of these cells from real ones."),
    (0.51, "far", "A random forest easily tells these cells from real ones."),
)
_FEW_CELLS = 200
_MIN_CELLS_OF_TYPE = 10
_SHARE = 0.02  # smallest difference between the shares of a type that gets a note


@dataclass(frozen=True)
class Verdict:
    """The top of the page."""

    grade: Grade
    headline: str
    meaning: str
    notes: tuple[str, ...]  # what else to know before the cells are used


def judge(table: pd.DataFrame, real: Cells, synthetic: Cells, n_compared: int) -> Verdict:
    """The verdict from the table of metrics, all cells of both sets, and how many of each were compared."""
    auc, floor = _value_and_floor(table, "rf_auc")
    # A forest below chance has learnt noise and is as good as chance.
    excess = max(auc, 0.5) - max(floor, 0.5)
    grade: Grade = "unknown"
    headline = "The random forest gave no figure for these cells."
    if not np.isnan(excess):
        grade, headline = next((grade, headline) for most, grade, headline in _GRADES if excess <= most)
    meaning = (
        f"Shown one real and one synthetic cell, it picks the synthetic one {100 * auc:.0f} times in 100 "
        f"(AUC {auc:.3f}). Shown one cell of each of two sets of real cells, it picks the right one "
        f"{100 * floor:.0f} times in 100 (AUC {floor:.3f}, the floor). Guessing gives 50."
    )
    notes = [*_notes_on_copies(table), *_notes_on_types(real, synthetic)]
    if n_compared < _FEW_CELLS:
        notes.append(f"Only {n_compared} cells of each set were compared: every figure and its floor are uncertain.")
    return Verdict(grade, headline, meaning, tuple(notes))


def _value_and_floor(table: pd.DataFrame, metric: str) -> tuple[float, float]:
    return float(table["value"][metric]), float(table["floor"][metric])


def _notes_on_copies(table: pd.DataFrame) -> list[str]:
    if "copy_ratio" not in table.index:
        return ["Whether cells are copies of training cells was not tested: that needs the training cells (train)."]
    ratio, floor = _value_and_floor(table, "copy_ratio")
    if ratio < 0.9 * floor:
        return [
            f"Cells lie closer to training cells than other real cells do ({ratio:.2f} of the distance; floor "
            f"{floor:.2f}): they may be copies. Look at them before you share any."
        ]
    return [
        f"No sign of copying as a whole (distance to the nearest training cell {ratio:.2f} of a held-out cell's; floor "
        f"{floor:.2f}). This is no proof of privacy: single cells may still be close to training cells."
    ]


def _notes_on_types(real: Cells, synthetic: Cells) -> list[str]:
    if real.labels is None:
        return ["Types were not compared: that needs their column (labels_key)."]
    labels = np.unique(np.concatenate([real.types, synthetic.types]))
    in_real, in_synthetic = (
        np.array([(cells.types == label).mean() for label in labels]) for cells in (real, synthetic)
    )
    notes = []
    if (absent := labels[in_synthetic == 0]).size:
        notes.append(f"Types of real cells without synthetic cells: {_listed(absent)}.")
    if (unknown := labels[in_real == 0]).size:
        notes.append(f"Types of synthetic cells without real cells: {_listed(unknown)}.")
    furthest = int(np.argmax(np.abs(in_synthetic - in_real)))
    if abs(in_synthetic[furthest] - in_real[furthest]) > _SHARE:
        notes.append(
            f"Types are not in the real proportions ({labels[furthest]}: {in_real[furthest]:.1%} of the real and "
            f"{in_synthetic[furthest]:.1%} of the synthetic cells), which all figures but those within types measure "
            "too. Generate types in the proportions of the real cells to avoid it."
        )
    return notes


def _listed(types: np.ndarray, most: int = 10) -> str:
    more = f" and {len(types) - most} more" if len(types) > most else ""
    return ", ".join(types[:most]) + more


def judge_types(real: Cells, synthetic: Cells, at_value: Comparison, at_floor: Comparison) -> pd.DataFrame:
    """One row per type of either set, from all cells and from the two comparisons.

    Columns: numbers of ``real`` and ``synthetic`` cells; ``mmd`` and ``recognized`` (share that an independent
    classifier recognizes), both with ``_floor``; ``library_size`` and ``genes``, synthetic median over real.
    """
    types = np.unique(np.concatenate([real.types, synthetic.types]))
    table = pd.DataFrame(index=pd.Index(types, name="type"))
    for name, cells in (("real", real), ("synthetic", synthetic)):
        table[name] = [int((cells.types == label).sum()) for label in types]
    for suffix, c in (("", at_value), ("_floor", at_floor)):
        table[f"mmd{suffix}"] = _per_type(types, c.real, c.synthetic, c.components, partial(mmd, seed=c.seed))
        table[f"recognized{suffix}"] = _recognized(c, types)
    totals = _library_sizes(real), _library_sizes(synthetic)
    table["library_size"] = _per_type(types, real, synthetic, totals, _median_ratio)
    n_genes = real.log_expression.getnnz(axis=1), synthetic.log_expression.getnnz(axis=1)
    table["genes"] = _per_type(types, real, synthetic, n_genes, _median_ratio)
    return table


def _per_type(
    types: np.ndarray,
    real: Cells,
    synthetic: Cells,
    values: tuple[np.ndarray, np.ndarray],
    function: Callable[[np.ndarray, np.ndarray], float],
) -> list[float]:
    """A function of the values of both sets in each type; NaN if a set has fewer than ten cells of the type."""
    pairs = [(values[0][real.types == label], values[1][synthetic.types == label]) for label in types]
    return [function(x, y) if min(len(x), len(y)) >= _MIN_CELLS_OF_TYPE else float("nan") for x, y in pairs]


def _median_ratio(real: np.ndarray, synthetic: np.ndarray) -> float:
    return float(np.median(synthetic) / np.median(real)) if np.median(real) > 0 else float("nan")


def _library_sizes(cells: Cells) -> np.ndarray:
    """Total counts per cell; NaN if only log-normalized values are known."""
    return np.full(len(cells), np.nan) if cells.counts is None else np.asarray(cells.counts.sum(axis=1)).ravel()


def _recognized(c: Comparison, types: np.ndarray) -> list[float]:
    reference, labels = c.labeled_reference
    if len(np.unique(labels)) < 2:
        return [float("nan")] * len(types)
    right = recognize(reference, labels, c.components[1], c.seed) == c.synthetic.types
    of_type = [c.synthetic.types == label for label in types]
    return [float(right[cells].mean()) if cells.sum() >= _MIN_CELLS_OF_TYPE else float("nan") for cells in of_type]
