"""What the commands do, by the library."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import numpy as np
import pandas as pd
import zarr
from scvi import REGISTRY_KEYS

from activa import ACTIVA
from activa.cli.demo import run_demo
from activa.export import MARKS, read_files
from activa.io.atomic import atomic_file, check_free, check_space
from activa.metrics import evaluate as evaluate_cells
from activa.model._plan_cells import fill_up
from activa.model._saving import size_of
from activa.model._zarr import STORE_MARKS
from activa.reporting import report as write_report

_OVERWRITING = "give --overwrite"


def demo(output: Path, *, seed: int, overwrite: bool) -> pd.DataFrame:
    """The demo's table."""
    check_free(output, overwrite=overwrite, what="demo", marks=("metrics.csv",), overwriting=_OVERWRITING)
    return run_demo(output, seed=seed, overwrite=overwrite)


def fit(
    data: Path,
    output: Path,
    *,
    labels_key: str | None,
    batch_key: str | None,
    layer: str | None,
    max_epochs: int | None,
    seed: int,
    overwrite: bool,
) -> dict[str, Any]:
    """Train, export, and describe the model."""
    check_free(output, overwrite=overwrite, what="export", marks=MARKS, overwriting=_OVERWRITING)
    adata = read(data)
    ACTIVA.setup_anndata(adata, labels_key=labels_key, batch_key=batch_key, layer=layer)
    model = ACTIVA(adata, seed=seed)
    model.train(max_epochs=max_epochs, seed=seed, enable_progress_bar=sys.stderr.isatty())
    if model.trainer.interrupted:
        # in a notebook such a model is of use; a pipeline would take it for a whole one
        raise KeyboardInterrupt
    model.export(output, overwrite=overwrite)
    return describe(output)


def generate(
    folder: Path, output: Path, *, n: int | None, label: Sequence[str], batch: str | None, seed: int, overwrite: bool
) -> dict[str, Any]:
    """Write cells, and say how many of each type."""
    kind = _suffix(output, (".h5ad", ".zarr", ".h5mu"))
    marks = STORE_MARKS if kind == ".zarr" else None
    check_free(output, overwrite=overwrite, what=f"{kind} output", marks=marks, overwriting=_OVERWRITING)
    asked = _labels(label)
    model = ACTIVA.from_export(folder)
    if (kind == ".h5mu") != (model._modalities is not None):
        given = "genes and proteins, .h5mu" if model._modalities is not None else "genes, .h5ad or .zarr"
        raise ValueError(f"--output={str(output)!r}: the model makes {given}: choose that suffix.")
    labels = fill_up(n, asked, model.types, model._type_sizes()) if asked else None
    n, chosen = None if labels else n, _batch(model, batch)
    if kind == ".zarr":
        model.generate_zarr(output, n, labels=labels, batch=chosen, seed=seed, overwrite=overwrite)
        types: Any = ad.io.read_elem(zarr.open_group(output, mode="r")["obs"])
    else:
        cells = model.generate(n, labels=labels, batch=chosen, seed=seed)
        check_space(output.absolute().parent, size_of(cells), argument="--output", what="the output")
        with atomic_file(output, overwrite=overwrite, what=f"{kind} output") as part:
            cells.write(part)
        types = cells.obs
    key = model._setup_arg("labels_key")
    made = {} if key is None else types[key].value_counts().to_dict()
    counts = {"all": len(types)} if key is None else {str(name): int(made.get(name, 0)) for name in model.types}
    return {"path": str(output), "seed": seed, "cells": len(types), "types": counts}


def evaluate(
    real: Path,
    synthetic: Path,
    *,
    labels_key: str | None,
    layer: str | None,
    train: Path | None,
    floor: Path | None,
    metrics: str | None,
    report: Path | None,
    seed: int,
    overwrite: bool,
) -> pd.DataFrame:
    """The table of metrics, and the report."""
    if report is not None:
        if metrics is not None:
            raise ValueError(f"--metrics={metrics!r}: a report has all metrics; leave --metrics or --report out.")
        check_free(report, overwrite=overwrite, what="report", overwriting=_OVERWRITING)
    sets = read(real), read(synthetic)
    given: dict[str, Any] = {"labels_key": labels_key, "layer": layer, "seed": seed}
    given |= {"train": None if train is None else read(train), "floor": None if floor is None else read(floor)}
    if report is not None:
        return write_report(*sets, report, name=synthetic.name, overwrite=overwrite, **given)
    chosen = None if metrics is None else [name.strip() for name in metrics.split(",")]
    return evaluate_cells(*sets, metrics=chosen, **given)


def describe(folder: Path) -> dict[str, Any]:
    """What is in an export, after reading all of it."""
    model = ACTIVA.from_export(folder)
    content, _ = read_files(folder)
    given = model.registry_["setup_args"]
    return {
        "path": str(folder),
        "format_version": content.whole("format_version"),
        "written_by": content.fields("written_by").values,
        "trained_on_cells": int(model.summary_stats.n_cells),
        "genes": len(model.var_),
        "proteins": None if model._modalities is None else len(model.protein_var_),
        "types": {str(name): int(count) for name, count in zip(model.types, model._type_sizes(), strict=True)},
        "batches": content.fields("cells").scalars("batches") if given["batch_key"] is not None else None,
        "setup_arguments": given,
        "settings": content.fields("model").fields("settings").values,
        "weights": sum(p.numel() for p in model.module.parameters()),
    }


def read(path: Path) -> ad.AnnData:
    """Cells of a file or a store.

    Raises
    ------
    ValueError
        If it has another suffix, or cannot be read.
    FileNotFoundError
        If it is not there.
    """
    kind = _suffix(path, (".h5ad", ".zarr"))
    if not path.exists():
        raise FileNotFoundError(f"{str(path)!r} does not exist: give a {kind} that is there.")
    try:
        return ad.read_h5ad(path) if kind == ".h5ad" else ad.read_zarr(path)
    except Exception as error:  # what HDF5, zarr and anndata raise for a broken file is of every kind
        raise ValueError(f"{str(path)!r} cannot be read as {kind}: {error}") from error


def printed(table: pd.DataFrame, form: Literal["tsv", "json"]) -> str:
    """A table for stdout, without a line end; what could not be computed is empty, or null."""
    if form == "tsv":
        return table.to_csv(sep="\t", lineterminator="\n").rstrip("\n")
    records = json.loads(table.reset_index().to_json(orient="records", double_precision=15))
    return json.dumps(records, indent=1)


def _suffix(path: Path, known: Sequence[str]) -> str:
    if path.suffix not in known:
        raise ValueError(f"{str(path)!r} must end with one of {list(known)}.")
    return path.suffix


def _labels(given: Sequence[str]) -> dict[str, int]:
    """TYPE=COUNT options."""
    labels: dict[str, int] = {}
    for item in given:
        name, _, count = item.rpartition("=")
        if not name or not count.isdecimal():
            raise ValueError(f"--label={item!r} must be TYPE=COUNT, such as 'B cell=500'.")
        if name in labels:
            raise ValueError(f"--label={item!r}: the type is there twice.")
        labels[name] = int(count)
    return labels


def _batch(model: ACTIVA, batch: str | None) -> Any:
    """The batch of this name; batches can be numbers, which a command line gives as text."""
    known = {str(b): b for b in np.asarray(model._field(REGISTRY_KEYS.BATCH_KEY)["categorical_mapping"]).tolist()}
    return known.get(batch, batch) if batch is not None else None
