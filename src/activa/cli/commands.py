"""What the commands do, by the library."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import anndata as ad
import pandas as pd
import zarr

from activa.assembly import plain, size_of
from activa.io import DEMO_MARKS
from activa.io.atomic import atomic_file, atomic_folder, check_space
from activa.io.sampler_files import read as read_files
from activa.sampler import Sampler


def demo(output: Path, *, seed: int = 0, overwrite: bool = False) -> pd.DataFrame:
    """Write ``synthetic.h5ad``, ``metrics.csv`` and ``umap.png`` to a folder, each step timed on stderr; return metrics."""
    from sklearn.model_selection import train_test_split

    from activa import datasets, metrics, pl
    from activa.model import ACTIVA

    last = perf_counter()

    def done(step: str) -> None:
        nonlocal last
        before, last = last, perf_counter()
        print(f"{last - before:6.1f} s  {step}", file=sys.stderr, flush=True)

    with atomic_folder(output, overwrite=overwrite, what="demo", marks=DEMO_MARKS) as part:
        adata = datasets.pbmc68k_reduced()
        train_cells, held_out_cells = train_test_split(
            adata.obs_names, test_size=0.4, stratify=adata.obs["cell_type"], random_state=seed
        )
        train, held_out = adata[train_cells].copy(), adata[held_out_cells].copy()
        done(f"loaded {adata.n_obs} cells x {adata.n_vars} genes; {train.n_obs} train, {held_out.n_obs} held out")

        ACTIVA.setup_anndata(train, labels_key="cell_type")
        model = ACTIVA(train)
        model.train(seed=seed)
        done("trained")

        synthetic = model.generate(adata.n_obs, labels_key="cell_type", seed=seed)
        synthetic.write_h5ad(part / "synthetic.h5ad")
        done(f"generated {synthetic.n_obs} cells of {synthetic.obs['cell_type'].nunique()} types")

        table = metrics.evaluate(held_out, synthetic, labels_key="cell_type", train=train, seed=seed)
        table.to_csv(part / "metrics.csv")
        done("evaluated")

        pl.umap(held_out, synthetic, labels_key="cell_type", seed=seed, save=part / "umap.png", show=False)
        done("drew the UMAP")
    return table


def fit(
    data: Path, output: Path, columns: Mapping[str, Any], *, max_epochs: int | None, seed: int, overwrite: bool
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
    folder: Path, output: Path, *, n: int | None, labels: dict[str, int], batch: str | None, seed: int, overwrite: bool
) -> dict[str, Any]:
    """Write cells, and tell the number of each type."""
    kind = output.suffix
    sampler = Sampler.load(folder)
    has_proteins = sampler.protein_var is not None
    if (kind == ".h5mu") != has_proteins:
        given = ".h5mu (it generates proteins too)" if has_proteins else ".h5ad or .zarr"
        raise ValueError(f"--output={str(output)!r}: the suffix of this model's cells must be {given}.")
    # batches can be numbers, which a command line gives as text
    batches: dict[Any, Any] = {str(b): b for b in sampler.batches.tolist()}
    request: dict[str, Any] = {"labels": labels or None, "batch": batches.get(batch, batch), "seed": seed}
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
    generators: Mapping[str, ad.AnnData],
    metrics: list[str] | None,
    *,
    labels_key: str | None,
    batch_key: str | None,
    seed: int,
    **given: Any,
) -> tuple[pd.DataFrame, list[str]]:
    """The table of metrics, and the verdict of each generator in lines; warnings are told in a line each."""
    from activa.data import check_labels
    from activa.metrics import judge
    from activa.metrics.evaluation import evaluate_sets, joined
    from activa.metrics.type_evaluation import type_table

    if batch_key is not None:  # which only the report reads, after the work
        for name, cells in {"real": given["real"], **generators}.items():
            check_labels(name, cells, batch_key, "batch_key")
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _tell  # type: ignore[assignment]
        evaluations = evaluate_sets(
            generators=generators, metrics=metrics, normalized=False, seed=seed, labels_key=labels_key, **given
        )
    lines = []
    for name, evaluation in evaluations.items():
        if "rf_auc" in evaluation.table.index:
            types = None if labels_key is None else type_table(evaluation.splits, seed)
            verdict = judge(evaluation.table, types)
            lines += [f"{name}: {verdict.headline}", *(f"- {finding}" for finding in verdict.findings)]
    return joined(evaluations, len(generators) > 1), lines


def _tell(message: Warning | str, *where: Any) -> None:
    print(f"activa: {' '.join(str(message).split())}", file=sys.stderr, flush=True)


def write_report(generators: Mapping[str, ad.AnnData], path: Path, **given: Any) -> None:
    """Write the page, with the files' names for the generators'."""
    from activa.reporting import report

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the evaluation has told them
        report(synthetic=generators, path=path, **given)


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
    """A table for stdout; what could not be computed is empty, or null."""
    if form == "tsv":
        return table.to_csv(sep="\t", lineterminator="\n").rstrip("\n")
    return json.dumps(json.loads(table.reset_index().to_json(orient="records", double_precision=15)), indent=1)
