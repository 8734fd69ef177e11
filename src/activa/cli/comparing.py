"""The command that compares cells: its sets, their evaluation, verdicts and page."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata as ad

from activa.cli.files import read
from activa.data import check_labels
from activa.metrics import judge
from activa.metrics.evaluation import Evaluation, evaluate_sets
from activa.metrics.type_evaluation import type_table
from activa.reporting import report


def read_sets(real: Path, generators: Mapping[str, Path], train: Path | None, *, raw: bool) -> dict[str, Any]:
    """The cells of an evaluation: ``real``, ``generators`` by name, and ``train``."""
    synthetic = {name: read(path) for name, path in generators.items()}
    return {
        "real": read(real, raw=raw),
        "generators": synthetic,
        "train": None if train is None else read(train, raw=raw),
    }


def evaluate(
    real: ad.AnnData, generators: Mapping[str, ad.AnnData], *, batch_key: str | None, **given: Any
) -> dict[str, Evaluation]:
    """What is known of the cells of each generator."""
    if batch_key is not None:  # which only the report reads, after the work
        for name, cells in {"real": real, **generators}.items():
            check_labels(name, cells, batch_key, "batch_key")
    return evaluate_sets(real, generators, **given)


def verdicts(evaluations: Mapping[str, Evaluation], labels_key: str | None, seed: int) -> list[str]:
    """The verdict of each generator, in lines."""
    lines = []
    for name, evaluation in evaluations.items():
        if "rf_auc" in evaluation.table.index:
            types = None if labels_key is None else type_table(evaluation.splits, seed)
            verdict = judge(evaluation.table, types)
            lines += [f"{name}: {verdict.headline}", *(f"- {finding}" for finding in verdict.findings)]
    return lines


def write_page(real: ad.AnnData, generators: Mapping[str, ad.AnnData], path: Path, **given: Any) -> None:
    """Write the page, with the files' names for the generators'."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the evaluation has told them
        report(real, generators, path, **given)
