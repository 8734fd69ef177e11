"""How the cost of training and of generation grows with cells: the random matrices of the paper's Table S4.

    python benchmarks/scale.py [--cells 10000 20000 50000] [--epochs 1] [--folder FOLDER]

Each matrix (17,789 genes, 30% of the values not zero) has a process of its own, so that its peak memory is told apart.
With --folder matrices are in files and read from there in training. Writes ``results/scale.csv`` and ``scale.md``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.io import sparse_dataset, write_elem
from tqdm.auto import tqdm

from activa.experiments.trainings import random_cells, time_model

DENSITY = 0.3


def write_random_cells(path: Path, n_cells: int, n_genes: int, n_rows: int = 10_000) -> ad.AnnData:
    """Random cells that are written to an h5ad file, ``n_rows`` at a time, and backed by it."""
    obs = []
    with h5py.File(path, "w") as file:
        for start in tqdm(range(0, n_cells, n_rows), desc="Random cells", delay=5, leave=False):
            part = random_cells(min(n_rows, n_cells - start), n_genes, DENSITY, "default", [0, start])
            if start:
                sparse_dataset(file["X"]).append(part.X)
            else:
                write_elem(file, "/", ad.AnnData(obs=pd.DataFrame(index=np.arange(n_cells).astype(str)), var=part.var))
                # 32 bits would limit the matrix to 2^31 entries
                part.X.indptr = part.X.indptr.astype(np.int64)
                write_elem(file, "X", part.X)
            obs.append(part.obs.set_axis(np.arange(start, start + part.n_obs).astype(str)))
        write_elem(file, "obs", pd.concat(obs))
    return ad.read_h5ad(path, backed="r")


def measure(n_cells: int, n_genes: int, epochs: int, n_generated: int, folder: Path | None) -> dict:
    """Time, and peak memory of this process in 10^9 bytes, for one matrix."""
    options = "default", epochs, n_generated, "auto", 0
    if folder is None:
        costs = time_model(random_cells(n_cells, n_genes, DENSITY, "default", 0), *options)
    else:
        with TemporaryDirectory(dir=folder, prefix="scaling-") as own:
            adata = write_random_cells(Path(own) / "cells.h5ad", n_cells, n_genes)
            costs = time_model(adata, *options)
            adata.file.close()
    # kilobytes, but bytes on macOS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    return {"n_cells": n_cells, "n_genes": n_genes, "in_memory": folder is None} | costs | {"peak_gb": peak}


def main() -> None:
    """Measure each size and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, nargs="+", default=[10_000, 20_000, 50_000])
    parser.add_argument("--genes", type=int, default=17_789)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--generated", type=int, default=5_000, help="cells to generate")
    parser.add_argument("--folder", type=Path, help="where to keep matrices that are read from files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    parser.add_argument("--run", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        found = measure(args.run, args.genes, args.epochs, args.generated, args.folder)
        print("\nRESULT\n" + pd.DataFrame([found]).to_csv(index=False))
        return
    rows = []
    for n in args.cells:
        command = [sys.executable, "-W", "ignore", __file__, *sys.argv[1:], "--run", str(n)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        rows.append(pd.read_csv(StringIO(output.split("RESULT\n")[1])))
        table = pd.concat(rows, ignore_index=True)
        table["ms_per_cell"] = 1e3 * table["seconds_per_epoch"] / table["n_cells"]
        table["of_smallest"] = table["ms_per_cell"] / table["ms_per_cell"].iloc[0]
        args.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(args.out / "scale.csv", index=False)
        shown = [
            "n_cells",
            "seconds_per_epoch",
            "ms_per_cell",
            "of_smallest",
            "n_generated",
            "seconds_generate",
            "peak_gb",
        ]
        (args.out / "scale.md").write_text(table[shown].round(3).to_markdown(index=False) + "\n")
        print(table[shown].round(3).to_string(index=False), flush=True)


if __name__ == "__main__":
    main()
