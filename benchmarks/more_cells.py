"""How many cells a generator must be trained on until its cells cannot be told from real ones.

    python benchmarks/more_cells.py --data FILE [FILE ...] [--sizes 500 1000 2000 4000 all] [--made 1000 4000 16000 60000]

Splits each file as realism.py does, trains each method on so many of the training cells, by type, and judges its cells
against at most 2,000 unseen ones of the types that it was trained on. The genes are those of all training cells, whatever
the size.

``--made`` asks the same of cells whose truth is known, and of which there are as many as are wanted: an ACTIVA that was
trained once on all cells of the file makes the training and the unseen cells. ACTIVA can say all that is in them, so what
tells its cells from these is what so few cells cost; for real cells it is also what ACTIVA cannot say.

A row for each generator, set, size and seed is added to more_cells.csv in --out, and is not computed again. The tables are
of all that --out holds, with means and 95% intervals over seeds, which decide split, subsample, training and draws.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from itertools import product
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _data import split
from _judge import judge, unseen_cells
from _methods import METHODS, USUAL
from _report import reach, show
from _task import Task

from activa import ACTIVA, Sampler
from activa.data import subsample

METRICS = ["rf_auc", "profile_auc", "quadratic_auc", "wasserstein", "overfitting"]
RUN = ["data", "cells", "n_cells", "method", "seed"]
"""What decides the rows of a run; a method may give several generators."""


def size(text: str) -> int:
    """A number of cells; "all" is more than there are."""
    return sys.maxsize if text == "all" else int(text)


def truth(args: argparse.Namespace, path: Path) -> Sampler:
    """ACTIVA trained on all cells of a file. It is kept, so that a run that goes on has the same truth."""
    folder = args.out / "more_cells" / f"model-{path.stem}-{args.labels_key}-{args.max_epochs or 'default'}-epochs"
    if not folder.exists():
        cells = ad.concat(split(path, args.labels_key, seed=0).values(), merge="same")
        ACTIVA.setup_anndata(cells, labels_key=args.labels_key)
        model = ACTIVA(cells, seed=0)
        model.train(max_epochs=args.max_epochs, seed=0, enable_progress_bar=False)
        folder.parent.mkdir(parents=True, exist_ok=True)
        model.sampler.save(folder)
    return Sampler.load(folder)


def training_and_unseen(args: argparse.Namespace, path: Path, cells: str, seed: int) -> tuple[ad.AnnData, ad.AnnData]:
    """All training cells of a set, "real" or "made", and the unseen ones."""
    if cells == "made":
        sampler = truth(args, path)
        # seeds that no two draws share
        return sampler.generate(max(args.made), seed=2 * seed), sampler.generate(args.unseen, seed=2 * seed + 1)
    parts = split(path, args.labels_key, seed)
    unseen = unseen_cells(parts)
    return parts["train"], chosen(unseen, args.unseen, args.labels_key, seed)


def chosen(cells: ad.AnnData, n_cells: int, labels_key: str, seed: int) -> ad.AnnData:
    """So many of the cells, each type in proportion."""
    labels = cells.obs[labels_key].to_numpy(dtype=str)
    return cells[subsample(cells.n_obs, n_cells, np.random.default_rng([seed, n_cells]), labels)].copy()


def figures(table: pd.DataFrame) -> dict[str, float | str]:
    """The judge's table in one row."""
    found = table.reindex(METRICS)
    named = {"": "value", "_floor": "floor", "_judgment": "judgment"}
    return {metric + end: found.loc[metric, column] for metric in METRICS for end, column in named.items()}


def run_missing(args: argparse.Namespace, path: Path, cells: str, seed: int, file: Path) -> None:
    """Train and judge what is not in the file."""
    done = set(read(file)[RUN].itertuples(index=False, name=None))
    train, unseen = training_and_unseen(args, path, cells, seed)
    sizes = sorted({min(n, train.n_obs) for n in (args.made if cells == "made" else args.sizes)})
    for n_cells, method in product(sizes, args.methods):
        run = dict(zip(RUN, (path.stem, cells, n_cells, method, seed), strict=True))
        if tuple(run.values()) in done:
            continue
        part = chosen(train, n_cells, args.labels_key, seed)
        real = unseen[unseen.obs[args.labels_key].isin(part.obs[args.labels_key].unique())].copy()
        labels = real.obs[args.labels_key].to_numpy(dtype=str)
        task = Task(part.copy(), labels, args.labels_key, seed, args.max_epochs, args.out / "more_cells", refit=False)
        made = METHODS[method](task)
        rows = []
        for name, synthetic in made.cells.items():
            table = judge(real, synthetic[:, real.var_names].copy(), part, args.labels_key, seed, METRICS)
            facts = {"generator": name, "labels_key": args.labels_key, "max_epochs": args.max_epochs or "default"}
            facts |= {"n_unseen": real.n_obs, "n_types": len(np.unique(labels)), "seconds": made.seconds["train"]}
            rows.append(run | facts | figures(table))
        # all generators of a run at once: a run is there as a whole or not at all
        pd.DataFrame(rows).to_csv(file, mode="a", header=not file.exists(), index=False)
        write(file)


def read(file: Path) -> pd.DataFrame:
    """The rows that are done."""
    text = {"data": str, "labels_key": str, "max_epochs": str}
    return pd.read_csv(file, dtype=text) if file.exists() else pd.DataFrame(columns=list(dict.fromkeys([*RUN, *text])))


def mean_and_interval(values: pd.Series) -> str:
    """Over seeds, by Student's t; the mean alone where there is one."""
    values = values.dropna()
    mean = values.mean()
    if len(values) < 2:
        return show(mean)
    half = reach(values)
    return f"{show(mean)} ({show(mean - half, of_size=mean)} to {show(mean + half, of_size=mean)})"


def curve(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each generator and number of training cells."""
    table = []
    for (name, n_cells), of in rows.groupby(["generator", "n_cells"]):
        told = of["rf_auc_judgment"] == "unlike real"
        table.append(
            {
                "generator": name,
                "training cells": f"{n_cells:,}",
                "forest's AUC": mean_and_interval(of["rf_auc"]),
                "told apart": f"{told.sum()} of {len(of)}",
                "cell profiles": mean_and_interval(of["profile_auc"]),
                "quadratic": mean_and_interval(of["quadratic_auc"]),
                "W2": mean_and_interval(of["wasserstein"]),
                "W2 / real cells'": mean_and_interval(of["wasserstein"] / of["wasserstein_floor"]),
                "overfitting": mean_and_interval(of["overfitting"]),
                "training, s": show(of["seconds"].mean()),
            }
        )
    return pd.DataFrame(table)


def write(file: Path) -> None:
    """Write the tables of all rows that are done, one for each set of cells."""
    sections = []
    for (data, cells), rows in read(file).groupby(["data", "cells"]):
        title = f"### {data}" if cells == "real" else f"### Made cells of {data}"
        sections.append(f"{title}\n\n{curve(rows).to_markdown(index=False, disable_numparse=True)}\n")
    file.with_suffix(".md").write_text("\n".join(sections))
    print("\n".join(sections), flush=True)


def check_arguments(args: argparse.Namespace, file: Path) -> None:
    """What is kept must be of the same arguments."""
    rows = read(file)
    rows = rows[rows["data"].isin([path.stem for path in args.data])]
    same = (rows["max_epochs"] == str(args.max_epochs or "default")) & (rows["labels_key"] == args.labels_key)
    if not same.all():
        raise SystemExit(f"{file} has rows of these files with other arguments: choose another --out, or delete them.")


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--methods", nargs="+", choices=USUAL, default=["activa"], help="which to run")
    parser.add_argument(
        "--sizes",
        type=size,
        nargs="*",
        default=[500, 1_000, 2_000, 4_000, sys.maxsize],
        help="numbers of training cells, or 'all'; all that there are for a number above it; none for made cells only",
    )
    parser.add_argument("--made", type=int, nargs="*", default=[], help="numbers of training cells of known truth")
    parser.add_argument("--unseen", type=int, default=2_000, help="unseen cells at most")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of all that is random but the truth")
    parser.add_argument("--max-epochs", type=int, help="for a quick try; the methods' own defaults otherwise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "more_cells.csv"
    check_arguments(args, file)
    warnings.filterwarnings("ignore", message="Types of real cells|Types are not in the real")
    for seed, path in product(args.seeds, args.data):
        for cells in [name for name, sizes in (("real", args.sizes), ("made", args.made)) if sizes]:
            run_missing(args, path, cells, seed, file)
    write(file)


if __name__ == "__main__":
    main()
