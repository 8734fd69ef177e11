"""Train, generate, save and load again and again in one process; see that memory, open files and threads do not grow.

    python tests/faults/soak.py [--rounds 50] [--out soak.csv]

On Linux. Each round is a row: MiB resident after a garbage collection, open files, threads, and how many models and data
sets scvi-tools holds on to. Memory is judged by the slope of a line through the second half of the rounds.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from activa import ACTIVA

sys.path.insert(0, str(Path(__file__).parents[1]))  # as in pytest
from tests_helpers import make_counts

MOST_MIB_A_ROUND = 0.5
N_CELLS, N_GENES = 1_000, 300  # 2 MiB: a data set that was kept in each round would show
TRAINING = {"max_epochs": 2, "batch_size": 500, "enable_progress_bar": False, "accelerator": "cpu"}


def resources() -> dict[str, float]:
    """What this process holds."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "MiB": pages * os.sysconf("SC_PAGE_SIZE") / 2**20,
        "files": len(os.listdir("/proc/self/fd")),
        "threads": len(os.listdir("/proc/self/task")),
        "models": len(ACTIVA._per_instance_manager_store),
        "data sets": len(ACTIVA._setup_adata_manager_store),
    }


def one_round(adata, folder: Path) -> None:
    """All that writes, reads, or trains."""
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata, n_hidden=(32,), n_latent=5)
    model.train(**TRAINING, checkpoint_dir=folder / "run")
    model.generate(N_CELLS, seed=0)
    model.generate_zarr(folder / "cells.zarr", N_CELLS, seed=0, overwrite=True)
    model.save(str(folder / "saved"), overwrite=True, save_anndata=True)
    model.export(folder / "export", overwrite=True)
    loaded = ACTIVA.load(str(folder / "saved"), accelerator="cpu")
    loaded.generate(N_CELLS, seed=0)
    ACTIVA.from_export(folder / "export", accelerator="cpu").generate(N_CELLS, seed=0)


def soak(rounds: int, folder: Path) -> pd.DataFrame:
    """A row a round."""
    adata, rows = make_counts(N_CELLS, N_GENES), []
    for _ in range(rounds):
        begin = time.monotonic()
        one_round(adata, folder)
        rows.append(resources() | {"seconds": round(time.monotonic() - begin, 1)})
        print(rows[-1], file=sys.stderr, flush=True)
    return pd.DataFrame(rows, index=pd.RangeIndex(1, rounds + 1, name="round"))


def slope(table: pd.DataFrame) -> float:
    """MiB a round, of the second half of the rounds."""
    late = table["MiB"].iloc[len(table) // 2 :]
    return float(np.polyfit(late.index, late, 1)[0])


def main() -> None:
    """Soak, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        table = soak(args.rounds, Path(folder))
    print(table.to_string())
    print(f"{slope(table):.3f} MiB a round in the second half")
    if args.out is not None:
        table.to_csv(args.out)
    late = table.iloc[len(table) // 2 :]
    assert (late[["files", "threads", "models", "data sets"]].nunique() == 1).all()
    assert slope(table) < MOST_MIB_A_ROUND


if __name__ == "__main__":
    main()
