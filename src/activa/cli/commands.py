"""What the commands do, by the library."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import anndata as ad
import numpy as np
import pandas as pd
import torch
import zarr
from scipy.sparse import csr_matrix

from activa.assembly import as_anndata, plain, size_of, stack
from activa.checks import check_genes, check_values, check_values_of
from activa.cli.files import read, types_of
from activa.data import check_labels
from activa.io import DEMO_MARKS
from activa.io.atomic import atomic_file, atomic_folder, check_space
from activa.io.sampler_files import read as read_files
from activa.request import proportional
from activa.sampler import Sampler
from activa.settings import GeneLikelihood


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
    data: Path,
    output: Path,
    columns: Mapping[str, Any],
    *,
    raw: bool,
    likelihood: GeneLikelihood,
    max_epochs: int | None,
    device: str,
    seed: int,
    overwrite: bool,
) -> dict[str, Any]:
    """Train, export, and describe the model."""
    kind, _, index = _device(device).partition(":")
    from activa.cli.epoch_lines import EpochLines
    from activa.model import ACTIVA

    adata = read(data, raw=raw)
    ACTIVA.setup_anndata(adata, **columns)
    model = ACTIVA(adata, seed=seed, gene_likelihood=likelihood)
    where: dict[str, Any] = (
        {"accelerator": "gpu", "devices": [int(index or 0)]} if kind == "cuda" else {"accelerator": kind}
    )
    lines = [] if sys.stderr.isatty() else [EpochLines(adata.shape, len(model.types))]
    model.train(max_epochs=max_epochs, seed=seed, enable_progress_bar=not lines, callbacks=lines, **where)
    if model.trainer.interrupted:
        # in a notebook such a model is useful; a pipeline would take it for a complete one
        raise KeyboardInterrupt
    model.export(output, overwrite=overwrite)
    return describe(output)


def _device(name: str) -> str:
    """PyTorch's name of a device; a ValueError if this machine does not have it."""
    kind, _, index = name.partition(":")
    n = torch.cuda.device_count() if kind in ("cuda", "auto") else int(torch.backends.mps.is_available())
    if kind == "auto":
        return "cuda" if n else "cpu"
    if kind != "cpu" and int(index or 0) >= n:
        raise ValueError(f"--device={name!r} is not there, PyTorch finds {n} of this kind: give cpu or auto.")
    return name


def generate(
    folder: Path,
    output: Path,
    request: dict[str, Any],
    *,
    labels_like: Path | None,
    augment: Path | None,
    raw: bool,
    device: str,
    overwrite: bool,
) -> dict[str, Any]:
    """Write cells, and tell the number of each type."""
    kind = output.suffix
    sampler = Sampler.load(folder, device=_device(device))
    has_proteins = sampler.protein_var is not None
    if (kind == ".h5mu") != has_proteins:
        given = ".h5mu (it generates proteins too)" if has_proteins else ".h5ad or .zarr"
        raise ValueError(f"--output={str(output)!r}: the suffix of this model's cells must be {given}.")
    design, n = sampler.design, request.pop("n")
    key = request["labels_key"] or design.labels_key
    request |= {"labels": request["labels"] or None, "batch": _known(request["batch"], sampler.batches)}
    request["covariates"] = {
        name: pd.to_numeric(text, errors="coerce")
        if name in design.continuous
        else _known(text, design.categorical.get(name))
        for name, text in request["covariates"].items()
    }
    if labels_like is not None:
        if key is None:
            raise ValueError("--labels-like needs types, and the model was trained without: give -n.")
        sizes = types_of(labels_like, key)
        numbers = sizes.to_numpy() if n is None else proportional(n, sizes.to_numpy())
        named = zip(sizes.index, numbers.tolist(), strict=True)
        n, request["labels"] = None, {_known(str(name), sampler.types): number for name, number in named}
    real = None if augment is None else training_cells(augment, sampler, key, raw=raw, batch=request["batch"])
    if kind == ".zarr":
        sampler.generate_zarr(output, n, overwrite=overwrite, **request)
        obs: Any = ad.io.read_elem(zarr.open_group(output, mode="r")["obs"])
    else:
        cells = sampler.generate(n, **request)
        obs = cells.obs
        written = cells if real is None else stack(real, cells)
        check_space(output.absolute().parent, size_of(written), argument="--output", what="the output")
        with atomic_file(output, overwrite=overwrite, what=f"{kind} output") as part:
            written.write(part)
    made = {} if key is None else obs[key].value_counts().to_dict()
    counts = {"all": len(obs)} if key is None else {str(name): int(made.get(name, 0)) for name in sampler.types}
    told = {"path": str(output), "seed": request["seed"], "cells": len(obs), "types": counts}
    return told if real is None else told | {"real_cells": real.n_obs}


def training_cells(path: Path, sampler: Sampler, key: str | None, *, raw: bool, batch: Any) -> ad.AnnData:
    """Cells of a file in the form of generated ones, to be written above these."""
    cells, layer, where = read(path, raw=raw), sampler.design.layer, f"--augment={str(path)!r}"
    if key is not None:
        check_labels(where, cells, key)
    for column in ("origin", *([] if batch is None else ["seen"])):
        if column in cells.obs:
            raise ValueError(f"{where} has a column {column!r} in obs, which is to be written: rename it.")
    if cells.var_names.is_unique and set(cells.var_names) == set(sampler.genes):
        cells = cells[:, sampler.genes]
    check_genes(cells, sampler.genes, where=where)
    check_values_of(cells, layer=layer)
    x: Any = cells.X if layer is None else cells.layers[layer]
    check_values(x, layer=layer, gene_likelihood=sampler.settings.gene_likelihood)
    obs: Any = cells.obs
    return as_anndata(csr_matrix(x, dtype=np.float32), obs, sampler.var, layer, {})


def _known(value: str | None, categories: np.ndarray | None) -> Any:
    """The category of this text: categories can be numbers, which a command line gives as text."""
    known: dict[Any, Any] = {} if categories is None else {str(category): category for category in categories.tolist()}
    return known.get(value, value)


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


def printed(table: pd.DataFrame, form: Literal["tsv", "json"]) -> str:
    """A table for stdout; what could not be computed is empty, or null."""
    if form == "tsv":
        return table.to_csv(sep="\t", lineterminator="\n").rstrip("\n")
    return json.dumps(json.loads(table.reset_index().to_json(orient="records", double_precision=15)), indent=1)
