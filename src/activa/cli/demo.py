"""The demo: train on real cells, generate as many, and compare them with cells the model has not seen."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter

import pandas as pd
from sklearn.model_selection import train_test_split

from activa import datasets, metrics, pl
from activa.io.atomic import atomic_folder
from activa.model import ACTIVA


def run_demo(output: Path, *, seed: int = 0, overwrite: bool = False) -> pd.DataFrame:
    """Write ``synthetic.h5ad``, ``metrics.csv`` and ``umap.png`` to a folder, each step timed on stderr; return metrics."""
    last = perf_counter()

    def done(step: str) -> None:
        nonlocal last
        before, last = last, perf_counter()
        print(f"{last - before:6.1f} s  {step}", file=sys.stderr, flush=True)

    with atomic_folder(output, overwrite=overwrite, what="demo", marks=("metrics.csv",)) as part:
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
