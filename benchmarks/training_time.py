"""Seconds to train, ours beside scVI's, in turn on one machine.

    python benchmarks/training_time.py --data FILE [FILE ...]

Each round trains ACTIVA by its defaults and then scVI for a few of its 400 epochs, which are alike: 5, and some more,
whose difference gives the time of the rest. Writes the rounds and their ratio as Markdown.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import anndata as ad
import pandas as pd
import scvi
from _data import split

from activa import ACTIVA

SCVI_EPOCHS = 400  # its default below 20,000 cells


def seconds(model, **kwargs) -> float:
    """Wall seconds of a call of ``train``."""
    start = time.perf_counter()
    model.train(enable_progress_bar=False, **kwargs)
    return time.perf_counter() - start


def rounds(train: ad.AnnData, labels_key: str, n_rounds: int, epochs: int) -> pd.DataFrame:
    """Seconds of each method in each round."""
    rows = []
    for _ in range(n_rounds):
        ACTIVA.setup_anndata(train, labels_key=labels_key)
        ours = seconds(ACTIVA(train))
        scvi.model.SCVI.setup_anndata(train)
        few, more = (seconds(scvi.model.SCVI(train), max_epochs=n) for n in (5, 5 + epochs))
        # the difference is of epochs alone: what a run costs once is counted once
        theirs = few + (SCVI_EPOCHS - 5) * (more - few) / epochs
        rows.append({"ACTIVA, s": ours, "scVI, s": theirs, "scVI / ACTIVA": theirs / ours})
    return pd.DataFrame(rows)


def main() -> None:
    """Time every file and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--scvi-epochs", type=int, default=15, help="epochs of scVI's 400 that are timed, beyond 5")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "training_time.md")
    args = parser.parse_args()
    tables = []
    for path in args.data:
        train = split(path, args.labels_key, seed=0)["train"]
        table = rounds(train, args.labels_key, args.rounds, args.scvi_epochs)
        table.insert(0, "data", f"{path.stem}, {train.n_obs:,} x {train.n_vars:,}")
        tables.append(table)
        print(table.to_string(index=False), flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(pd.concat(tables).round(1).to_markdown(index=False) + "\n")


if __name__ == "__main__":
    main()
