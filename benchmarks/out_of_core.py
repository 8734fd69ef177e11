"""Peak memory of generating into a store and of training from disk, as cells grow.

    python benchmarks/out_of_core.py [--few 20000] [--many 100000] [--train-many 80000] [--genes 2000]

Each figure is the largest resident set (``getrusage``) of a process of its own, on made counts. Beside it stands that of
the same done in memory. Writes a table, ``results/out_of_core.csv`` and ``.md``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

N_TYPES, BATCH_SIZE = 5, 128
TASKS = {
    "generate": "generate, in memory",
    "generate_zarr": "generate_zarr",
    "train": "train, AnnData in memory",
    "train_backed": "train, backed AnnData (h5ad)",
    "train_annbatch": "train, annbatch (zarr)",
}


def made_counts(n_cells: int, n_genes: int) -> Iterator:
    """Chunks of Poisson counts of five types, about a tenth of them not zero."""
    from anndata import AnnData
    from scipy.sparse import csr_matrix

    rng = np.random.default_rng(0)
    rates = rng.gamma(0.1, 1.0, size=(N_TYPES, n_genes))
    for start in range(0, n_cells, 5_000):
        types = rng.integers(N_TYPES, size=min(5_000, n_cells - start))
        obs = pd.DataFrame(
            {"cell_type": pd.Categorical(types.astype(str))}, index=[f"{start + i}" for i in range(len(types))]
        )
        yield AnnData(csr_matrix(rng.poisson(rates[types]).astype(np.float32)), obs=obs)


def write(folder: Path, n_cells: int, n_genes: int) -> None:
    """The counts as h5ad and zarr."""
    import anndata

    cells = anndata.concat(list(made_counts(n_cells, n_genes)))
    cells.write_h5ad(folder / f"{n_cells}.h5ad")
    cells.write_zarr(folder / f"{n_cells}.zarr")


def model_of(adata):
    """An untrained model of a usual size."""
    from activa import ACTIVA

    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return ACTIVA(adata)


def datamodule_of(path: Path):
    """An annbatch data module that holds 8,192 cells at a time."""
    import anndata
    import zarr
    from annbatch import Loader
    from scvi.dataloaders import AnnbatchDataModule

    store = zarr.open_group(path, mode="r")
    obs = anndata.io.read_elem(store["obs"])
    cells = anndata.AnnData(anndata.io.sparse_dataset(store["X"]), obs=obs)
    loader = Loader(batch_size=BATCH_SIZE, chunk_size=64, preload_nchunks=128, preload_to_gpu=False, to="torch")
    return AnnbatchDataModule(
        loader.add_adata(cells), label_key="cell_type", chunk_size=64, preload_nchunks=128, preload_to_gpu=False
    )


def run(task: str, folder: Path, n_cells: int, n_genes: int) -> None:
    """One task, in this process; prints its seconds and peak in MiB."""
    import anndata

    from activa import ACTIVA

    quiet = {"enable_progress_bar": False, "batch_size": BATCH_SIZE}
    if task.startswith("generate"):
        model = model_of(next(made_counts(2_000, n_genes)))
        model.train(max_epochs=2, **quiet)
    start = time.perf_counter()
    if task == "generate":
        model.generate(n_cells, seed=0)
    elif task == "generate_zarr":
        model.generate_zarr(folder / "synthetic.zarr", n_cells, seed=0, overwrite=True)
    elif task == "train_annbatch":
        datamodule = datamodule_of(folder / f"{n_cells}.zarr")
        ACTIVA(registry=datamodule.registry).train(max_epochs=1, datamodule=datamodule, **quiet)
    else:
        backed = "r" if task == "train_backed" else None
        model_of(anndata.read_h5ad(folder / f"{n_cells}.h5ad", backed=backed)).train(max_epochs=1, **quiet)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    print(f"\nRESULT {time.perf_counter() - start:.1f} {peak:.0f}")


def main() -> None:
    """Run every task with few and with many cells, each in a process, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--few", type=int, default=20_000)
    parser.add_argument("--many", type=int, default=100_000, help="cells that are generated")
    parser.add_argument("--train-many", type=int, default=80_000, help="cells that are trained on, one epoch")
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        task, folder, n_cells = args.run
        (write if task == "write" else lambda *rest: run(task, *rest))(Path(folder), int(n_cells), args.genes)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:

        def in_process(task: str, n_cells: int) -> list[str]:
            command = [sys.executable, "-W", "ignore", __file__, "--genes", str(args.genes)]
            output = subprocess.run(
                [*command, "--run", task, folder, str(n_cells)], check=True, capture_output=True, text=True
            ).stdout
            return [line.split()[1:] for line in output.splitlines() if line.startswith("RESULT")][-1:]

        for task in args.tasks:
            for n_cells in (args.few, args.train_many if task.startswith("train") else args.many):
                if task.startswith("train") and not (Path(folder) / f"{n_cells}.h5ad").exists():
                    in_process("write", n_cells)
                seconds, peak = in_process(task, n_cells)[0]
                rows.append({"task": TASKS[task], "cells": n_cells, "peak, MiB": int(peak), "seconds": float(seconds)})
                print(rows[-1], flush=True)
                table = pd.DataFrame(rows)
                args.out.mkdir(exist_ok=True)
                table.to_csv(args.out / "out_of_core.csv", index=False)
    text = (
        f"Peak resident memory of one process on made counts ({args.genes:,} genes), by `benchmarks/out_of_core.py`. It has "
        f"Python and PyTorch in it. Training is one epoch; generation is by a model trained on 2,000 cells.\n\n"
    )
    (args.out / "out_of_core.md").write_text(text + table.to_markdown(index=False, intfmt=",") + "\n")


if __name__ == "__main__":
    main()
