"""The tables of the page as text: metrics, types or batches, and genes, each with the worst first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from activa.metrics import METRICS

_N_GENES = 10
_ALARM = 0.05  # chance that any gene of real cells deviates so far
_WORST_FIRST = ("unlike real", "as real", "cannot tell", "too few cells")

# Columns of the table of types: headings, formats of numbers, and columns with the ends of their intervals.
_TYPE_COLUMNS: dict[str, tuple[str, str, tuple[str, str] | None]] = {
    "real": ("Real cells", "{:,.0f}", None),
    "synthetic": ("Synthetic cells", "{:,.0f}", None),
    "recognized": ("Recognized", "{:z.0%}", ("recognized_low", "recognized_high")),
    "recognized_real": ("Real ones recognized", "{:z.0%}", ("recognized_real_low", "recognized_real_high")),
    "mmd": ("MMD²", "{:z.4f}", None),
    "mmd_floor": ("MMD² of real, 95%", "{:z.4f}", None),
    "library_size": ("Library size / real", "{:.2f}", None),
    "genes": ("Genes per cell / real", "{:.2f}", None),
}


def metric_rows(tables: Mapping[str, pd.DataFrame]) -> list[dict[str, Any]]:
    """Rows of the table of metrics: those that any generator has unlike real cells, the worst first, then the others."""
    worst = pd.DataFrame(
        {name: table["deviation"].abs().where(table["judgment"] == "unlike real") for name, table in tables.items()}
    ).max(axis=1)
    order = worst.sort_values(ascending=False, kind="stable", na_position="last").index
    return [_metric_row(str(name), {key: table.loc[name] for key, table in tables.items()}) for name in order]


def _metric_row(name: str, rows: Mapping[str, pd.Series]) -> dict[str, Any]:
    metric, first = METRICS[name], next(iter(rows.values()))
    # no more digits than the largest figure deserves
    largest = np.nanmax([0, first["floor"], *(row["value"] for row in rows.values())], initial=0)
    form = f"{{:z.{int(np.clip(2 - np.floor(np.log10(max(abs(largest), 1e-9))), 1, 4))}f}}"
    return {
        "name": name,
        "question": metric.question,
        "description": metric.description,
        "values": [
            figure(row, "value", form, ("low", "high")) | {"judgment": row["judgment"]} for row in rows.values()
        ],
        "floor": figure(first, "floor", form, ("floor_low", "floor_high")),
        "refit": figure(first, "refit", form, ("refit_low", "refit_high")) if "refit" in first else None,
    }


def figure(row: pd.Series, name: str, form: str, ends: tuple[str, str] | None = None) -> dict[str, str]:
    """A number as sort key, empty if unknown, as text, and its interval as text, if it has one."""
    value = round(float(row[name]), 9)  # sums in another order must not round up what others round down
    if np.isnan(value):
        return {"sort": "", "text": "–", "interval": ""}
    low, high = (form.format(float(row[end])) for end in ends) if ends and not np.isnan(row[ends[0]]) else ("", "")
    return {"sort": repr(value), "text": form.format(value), "interval": f"{low} to {high}" if low else ""}


def type_table_on_page(types: pd.DataFrame) -> dict[str, Any]:
    """Headings and rows of a table of types, without columns that nothing is known of, and how many are unlike real."""
    columns = {key: column for key, column in _TYPE_COLUMNS.items() if types[key].notna().any()}
    rank = types["judgment"].map({judgment: rank for rank, judgment in enumerate(_WORST_FIRST)})
    lost = (types["recognized"] - types["recognized_real"]).fillna(np.inf)
    ordered = types.iloc[np.lexsort([lost, rank])]
    rows = [
        {
            "type": str(label),
            "judgment": row["judgment"],
            "rank": len(_WORST_FIRST) - _WORST_FIRST.index(row["judgment"]),
            "values": [figure(row, key, form, ends) for key, (_, form, ends) in columns.items()],
        }
        for label, row in ordered.iterrows()
    ]
    n_unlike = int((types["judgment"] == "unlike real").sum())
    return {"headings": [heading for heading, *_ in columns.values()], "rows": rows, "n_unlike": n_unlike}


def gene_rows(differences: pd.DataFrame) -> list[dict[str, Any]]:
    """The genes that are worst reproduced, from the table of :func:`activa.metrics.gene_differences`."""
    forms = {"mean_real": "{:.2f}", "mean_synthetic": "{:.2f}", "zeros_real": "{:z.0%}", "zeros_synthetic": "{:z.0%}"}
    threshold = gene_threshold(len(differences))
    return [
        {"gene": str(name), "unlike": row["deviation"] > threshold}
        | {key: form.format(row[key]) for key, form in (forms | {"deviation": "{:.1f}"}).items()}
        for name, row in differences.head(_N_GENES).iterrows()
    ]


def gene_threshold(n_genes: int) -> float:
    """Standard errors that, of two sets of real cells, the largest of the genes' deviations exceeds in 5% of cases."""
    return float(norm.ppf(1 - _ALARM / (4 * n_genes)))  # two facts of each gene, in two directions
