"""What the commands do, by the library."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import anndata as ad
import pandas as pd
import zarr

from activa.assembly import plain, size_of
from activa.io.atomic import atomic_file, check_space
from activa.io.sampler_files import read as read_files
from activa.sampler import Sampler


def fit(
    data: Path, output: Path, columns: Mapping[str, str | None], *, max_epochs: int | None, seed: int, overwrite: bool
) -> dict[str, Any]:
    """Train, export, and describe the model."""
    from activa.model import ACTIVA

    adata = read(data)
    ACTIVA.setup_anndata(adata, **columns)
    model = ACTIVA(adata, seed=seed)
    model.train(max_epochs=max_epochs, seed=seed, enable_progress_bar=sys.stderr.isatty())
    if model.trainer.interrupted:
        # in a notebook such a model is useful; a pipeline would take it for a complete one
        raise KeyboardInterrupt
    model.export(output, overwrite=overwrite)
    return describe(output)


def generate(
    folder: Path,
    output: Path,
    *,
    n: int | None,
    labels: dict[str, int],
    batch: str | None,
    seed: int,
    overwrite: bool,
) -> dict[str, Any]:
    """Write cells, and tell the number of each type."""
    kind = output.suffix
    sampler = Sampler.load(folder)
    has_proteins = sampler.protein_var is not None
    if (kind == ".h5mu") != has_proteins:
        given = "genes and proteins, .h5mu" if has_proteins else "genes, .h5ad or .zarr"
        raise ValueError(f"--output={str(output)!r}: the model generates {given}: choose that suffix.")
    request: dict[str, Any] = {"labels": labels or None, "batch": _batch(sampler, batch), "seed": seed}
    if kind == ".zarr":
        sampler.generate_zarr(output, n, overwrite=overwrite, **request)
        obs: Any = ad.io.read_elem(zarr.open_group(output, mode="r")["obs"])
    else:
        cells = sampler.generate(n, **request)
        check_space(output.absolute().parent, size_of(cells), argument="--output", what="the output")
        with atomic_file(output, overwrite=overwrite, what=f"{kind} output") as part:
            cells.write(part)
        obs = cells.obs
    key = sampler.design.labels_key
    made = {} if key is None else obs[key].value_counts().to_dict()
    counts = {"all": len(obs)} if key is None else {str(name): int(made.get(name, 0)) for name in sampler.types}
    return {"path": str(output), "seed": seed, "cells": len(obs), "types": counts}


def evaluate(
    files: Mapping[str, Path], metrics: list[str] | None, report: Path | None, *, overwrite: bool, **given: Any
) -> pd.DataFrame:
    """The table of metrics, and the report; ``given``: ``labels_key``, ``layer`` and ``seed``."""
    sets: dict[str, Any] = {name: read(path) for name, path in files.items()}
    if report is not None:
        from activa.reporting import report as write_report

        return write_report(path=report, name=files["synthetic"].name, overwrite=overwrite, **sets, **given)
    from activa.metrics import evaluate as evaluate_cells

    return evaluate_cells(metrics=metrics, **sets, **given)


def describe(folder: Path) -> dict[str, Any]:
    """What is in an export, after reading all of it."""
    sampler = Sampler.load(folder)
    manifest, _ = read_files(folder)
    design = sampler.design
    return {
        "path": str(folder),
        "format_version": manifest.format_version,
        "written_by": manifest.written_by,
        "trained_on_cells": int(design.type_sizes.sum()),
        "genes": len(sampler.var),
        "proteins": None if sampler.protein_var is None else len(sampler.protein_var),
        "types": {str(name): int(count) for name, count in zip(design.types, design.type_sizes, strict=True)},
        "batches": None if design.batch_key is None else plain(design.batches),
        "labels_key": design.labels_key,
        "batch_key": design.batch_key,
        "layer": design.layer,
        "covariates": [*design.categorical, *design.continuous],
        "settings": manifest.settings,
        "weights": sum(p.numel() for p in sampler.module.parameters()),
    }


def read(path: Path) -> ad.AnnData:
    """Cells of a file or a store; a ValueError says that it cannot be read."""
    try:
        return ad.read_h5ad(path) if path.suffix == ".h5ad" else ad.read_zarr(path)
    except Exception as error:  # HDF5, zarr and anndata raise errors of every kind for a broken file
        raise ValueError(f"{str(path)!r} cannot be read as {path.suffix}: {error}") from error


def printed(table: pd.DataFrame, form: Literal["tsv", "json"]) -> str:
    """A table for stdout, without a line end; what could not be computed is empty, or null."""
    if form == "tsv":
        return table.to_csv(sep="\t", lineterminator="\n").rstrip("\n")
    records = json.loads(table.reset_index().to_json(orient="records", double_precision=15))
    return json.dumps(records, indent=1)


def _batch(sampler: Sampler, batch: str | None) -> Any:
    """The batch of this name; batches can be numbers, which a command line gives as text."""
    known = {str(b): b for b in sampler.batches.tolist()}
    return None if batch is None else known.get(batch, batch)
