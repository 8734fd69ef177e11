"""Judging of cells from other generators, and the tables of all that have been judged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from _data import split
from _report import show
from scipy.sparse import csr_matrix

from activa.data import log_normalize
from activa.metrics import METRICS, evaluate

SHOWN = ["rf_auc", "profile_auc", "wasserstein", "correlation_discrepancy", "label_fidelity", "marker_overlap"]
KEPT = ["value", "low", "high", "floor", "floor_low", "floor_high"]
"""Columns of the judge's table, those of them that it has."""
REAL = "real cells"
COSTS = {"train_seconds": "training, s", "generate_seconds": "drawing, s", "peak_gb": "peak memory, GB"}
LEFT_OUT = {
    "scCross 1.0.7.1": "needs SciPy 1.8.0, which has no wheel for Python 3.12",
    "scmg 1.0.4": "needs pandas 1.5.3, which has no wheel for Python 3.12",
    "scLDM 0.0.0": "the release on PyPI has no code",
    "scDiffusion, CFGen, scGFT": "not on PyPI - scdiffusion and cfgen are other software",
    "SERGIO": "simulates a regulatory network that the user gives, and is not trained on cells",
}
"""Generators that are not run, with the reason."""


def unseen_cells(parts: dict[str, ad.AnnData]) -> ad.AnnData:
    """The cells that no generator has trained on: test and floor."""
    return ad.concat([parts["test"], parts["floor"]], merge="same")


def is_whole(cells: ad.AnnData) -> bool:
    """Whether all values are whole numbers, as counts are."""
    values = csr_matrix(cells.X).data
    return bool((values == np.rint(values)).all())


def judge(path: Path, cells: ad.AnnData, labels_key: str, seed: int) -> tuple[pd.DataFrame, dict[str, int], str]:
    """The judge's figures of these cells, the numbers of genes and cells, and what differs from what was asked for.

    Cells of fewer genes are judged on those. Values that are no counts are judged as log1p of shares times 10,000, and so
    are the real ones then.
    """
    parts = split(path, labels_key, seed)
    sets = {"real": unseen_cells(parts), "train": parts["train"], "synthetic": cells}
    if unknown := len(cells.var_names.difference(sets["train"].var_names)):
        raise ValueError(f"{unknown} of the cells' genes are not among the training cells' genes.")
    if not cells.var_names.is_unique or not cells.n_vars:
        raise ValueError("the cells must have one column for each gene.")
    sets = {name: adata[:, cells.var_names].copy() for name, adata in sets.items()}
    counts = is_whole(cells)
    if not counts:
        for adata in sets.values():
            adata.X = log_normalize(csr_matrix(adata.X))
    names = [name for name in SHOWN if name in METRICS and (counts or "counts" not in METRICS[name].needs)]
    table = evaluate(
        sets["real"],
        sets["synthetic"],
        train=sets["train"],
        labels_key=labels_key,
        metrics=names,
        normalized=not counts,
        seed=seed,
    )
    asked, given = (adata.obs[labels_key].astype(str).value_counts() for adata in (sets["real"], cells))
    note = "" if asked.to_dict() == given.to_dict() else "types are not drawn as often as asked for"
    sizes = {"genes": cells.n_vars, "all_genes": parts["train"].n_vars, "cells": cells.n_obs}
    return table[[column for column in KEPT if column in table]], sizes, note


def judge_missing(folder: Path, path: Path, labels_key: str, seed: int, again: bool) -> list[str]:
    """Judge the cells in this folder that have not been judged; what cannot be is told in its row."""
    failed = []
    for file in sorted(folder.glob(f"*-{seed}.h5ad")):
        scores_file, row_file = file.with_suffix(".csv"), file.with_suffix(".json")
        if scores_file.exists() and not again:
            continue
        row = json.loads(row_file.read_text()) | {"error": ""}
        try:
            scores, sizes, note = judge(path, ad.read_h5ad(file), labels_key, seed)
        except (KeyError, TypeError, ValueError) as error:
            row["error"] = f"not judged: {error}"
            scores_file.unlink(missing_ok=True)
            failed.append(f"{file.stem} on {path.stem}: {error}")
        else:
            scores.to_csv(scores_file)
            row |= sizes | {"types": note}
        row_file.write_text(json.dumps(row, indent=2))
    return failed


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """A row of each run in the folder: what it took, and its figures."""
    for file in sorted(folder.glob("*.json")):
        peer, _, seed = file.stem.rpartition("-")
        row = {"dataset": folder.name, "peer": peer, "seed": int(seed)} | json.loads(file.read_text())
        scores_file = file.with_suffix(".csv")
        if scores_file.exists():
            for metric, figures in pd.read_csv(scores_file, index_col="metric").iterrows():
                names = {column: f"{metric}_{column}".removesuffix("_value") for column in figures.index}
                row |= {names[column]: figure for column, figure in figures.items()}
        yield row


def in_words(row: pd.Series, name: str) -> str:
    """A figure and its interval, if there is one."""
    value, low, high = (row.get(key, np.nan) for key in (name, f"{name}_low", f"{name}_high"))
    if np.isnan(value):
        return "–"
    return show(value) if np.isnan(low) else f"{show(value)} ({show(low, value)} to {show(high, value)})"


def has_fewer_genes(row: pd.Series) -> bool:
    """Whether the cells lack genes of the training cells."""
    return row.get("genes", np.nan) < row.get("all_genes", np.nan)


def remarks(row: pd.Series) -> str:
    """What a reader must know of a row."""
    genes = ""
    if has_fewer_genes(row):
        genes = f"{row['genes']:,.0f} of {row['all_genes']:,.0f} genes, judged on those"
    said = [row.get(name) for name in ("error", "note", "types")]
    return "; ".join(text for text in [*said, genes] if isinstance(text, str) and text)


def markdown(rows: pd.DataFrame) -> str:
    """The rows of one dataset: real cells, then each generator."""
    metrics = [metric for metric in SHOWN if metric in rows]
    table = {}
    for _, row in rows.iterrows():
        floor = {metric: in_words(row, f"{metric}_floor") for metric in metrics}
        if REAL not in table and row.get("genes", np.nan) == row.get("all_genes", np.nan):
            # the floor is of the same real cells for every generator of all genes
            table = {REAL: floor | dict.fromkeys([*COSTS.values(), "version"], "–") | {"remarks": "the floor"}} | table
        figures = {metric: in_words(row, metric) for metric in metrics}
        if has_fewer_genes(row):
            figures = {metric: f"{text}; floor {floor[metric]}" for metric, text in figures.items()}
        costs = {title: show(row.get(name, np.nan)) for name, title in COSTS.items()}
        said = {"version": row["version"] if isinstance(row.get("version"), str) else "–", "remarks": remarks(row)}
        name = row["peer"] if row["seed"] == rows["seed"].min() else f"{row['peer']}, seed {row['seed']}"
        table[name] = figures | costs | said
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("generator").to_markdown()


def write(folder: Path, out: Path) -> None:
    """``peers.csv`` and ``peers.md`` in ``out``, of all datasets in ``folder``."""
    rows = pd.DataFrame([row for dataset in sorted(folder.iterdir()) if dataset.is_dir() for row in read_rows(dataset)])
    if rows.empty:
        return
    rows.to_csv(out / "peers.csv", index=False)
    sections = [f"### {name}\n\n{markdown(part)}\n" for name, part in rows.groupby("dataset", sort=False)]
    left_out = "; ".join(f"{name} ({reason})" for name, reason in LEFT_OUT.items())
    (out / "peers.md").write_text("\n".join([*sections, f"Not run: {left_out}.\n"]))
