"""Peak memory of training and generating, in processes of their own.

    python tests/faults/memory.py [--cells 20000] [--genes 2000] [--out memory.csv]

On made sparse counts, a tenth of them not zero. Each figure is the largest resident set (``getrusage``), less what the
process had before the cells were made: the imports.
"""

from __future__ import annotations

import argparse
import resource
import sys
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix, vstack

from activa import ACTIVA

sys.path.insert(0, str(Path(__file__).parents[1]))  # as in pytest
from faults.children import CONTEXT, start

MOST_MIB = 512


def made(n_cells: int, n_genes: int) -> ad.AnnData:
    """Poisson counts of five types, made in pieces."""
    rng = np.random.default_rng(0)
    rates = rng.gamma(0.1, 1.0, size=(5, n_genes))
    types = rng.integers(5, size=n_cells)
    pieces = [csr_matrix(rng.poisson(rates[types[i : i + 1_000]]).astype(np.float32)) for i in range(0, n_cells, 1_000)]
    obs = pd.DataFrame({"cell_type": pd.Categorical(types.astype(str))}, index=[str(i) for i in range(n_cells)])
    return ad.AnnData(vstack(pieces, format="csr"), obs=obs)


def peak() -> float:
    """MiB, the most that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def use(n_cells: int, n_genes: int, epochs: int, found) -> None:
    """Train and generate, and tell the peaks: of the imports, the cells, the training, the generating."""
    warnings.simplefilter("ignore")
    peaks = {"imports": peak()}
    adata = made(n_cells, n_genes)
    peaks["cells"] = peak()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata)
    peaks["model"] = peak()
    model.train(max_epochs=epochs, enable_progress_bar=False, accelerator="cpu")
    peaks["training"] = peak()
    model.generate(n_cells, seed=0)
    peaks["generating"] = peak()
    found.send(peaks)


def peaks(n_cells: int, n_genes: int, epochs: int = 1) -> pd.Series:
    """MiB above the imports, after each step."""
    receiving, sending = CONTEXT.Pipe(duplex=False)
    process = start(use, n_cells, n_genes, epochs, sending)
    found = pd.Series(receiving.recv())
    process.join()
    return found - found["imports"]


def main() -> None:
    """Measure, and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=20_000)
    parser.add_argument("--genes", type=int, default=2_000)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    found = peaks(args.cells, args.genes)
    dense = args.cells * args.genes * 4 / 2**20
    print(found.round(0).to_string(), f"\n(the cells as a dense array: {dense:.0f})")
    if args.out is not None:
        found.to_csv(args.out)
    assert found["generating"] < MOST_MIB


if __name__ == "__main__":
    main()
