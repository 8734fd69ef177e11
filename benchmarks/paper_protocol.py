"""The paper's forest on integrated cells, beside the forest on cells as they are.

    python benchmarks/paper_protocol.py --data FILE [FILE ...] [--seeds 0 1 2] [--peers FOLDER]

The paper integrates real and generated cells before a forest tells them apart. Here both are compared with and without
(Harmony for Seurat's integration): a second set of held-out cells and ACTIVA on every seed, which decides split, training,
draws and forests, ACTIVA as published on --paper-seeds, and generators whose cells benchmarks/peers.py has drawn. Splits and trained models are those of paper.py, kept in --runs and not trained again; forests are not
grown again for rows that the table in --out holds, unless --again is given.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import pandas as pd
from _data import split
from _paper_models import NAMES, Models

from activa import experiments
from activa.data import log_normalize
from activa.experiments.trainings import TYPE

PEERS = {"scvi": "scVI", "independent": "independent genes"}
COLUMNS = ["dataset", "set", "seed", "integrated", "fold", "cells", "epochs", "auc"]


def peer_cells(folder: Path | None, models: Models, dataset: str, labels_key: str, seed: int) -> dict[str, ad.AnnData]:
    """Cells that other generators drew, trained on the same cells."""
    files = {name: folder / dataset / f"{peer}-{seed}.h5ad" for peer, name in PEERS.items()} if folder else {}
    sets = {}
    for name, file in files.items():
        if file.exists():
            cells = ad.read_h5ad(file)[:, models.genes]
            obs = pd.DataFrame({TYPE: cells.obs[labels_key].astype(str).astype("category")})
            sets[name] = ad.AnnData(log_normalize(cells.X), obs=obs, var=pd.DataFrame(index=models.genes))
    return sets


def detect(args: argparse.Namespace, path: Path, seed: int, known: pd.DataFrame) -> pd.DataFrame:
    """The areas of every set of this split that are not known, a row a fold."""
    folder = args.runs / f"{path.stem}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    epochs = {"default": args.epochs, "paper": args.paper_epochs}
    models = Models(split(path, args.labels_key, seed), args.labels_key, folder, epochs, seed)
    configurations = [name for name in NAMES if name == "default" or seed in args.paper_seeds]
    trained = {NAMES[name]: models.trained(name)[1]["epochs"] for name in configurations}
    sets = models.generated(configurations) | peer_cells(args.peers, models, path.stem, args.labels_key, seed)
    here = known[(known["dataset"] == path.stem) & (known["seed"] == seed)]
    sets = {name: cells for name, cells in sets.items() if name not in set(here["set"])}
    real, tables = models.log_normalized(models.real["test"]), [known]
    for integrate in (False, True) if sets else ():
        print(f"{path.stem}, seed {seed}: {', '.join(sets)}{', integrated' * integrate}", flush=True)
        table = experiments.rf_detection(
            real, sets, labels_key=TYPE, normalized=True, integrate=integrate, n_trees=args.trees, seed=seed
        )
        rows = table.drop_duplicates(["set", "fold"])[["set", "fold", "auc"]]
        rows = rows.assign(dataset=path.stem, seed=seed, integrated=integrate, cells=real.n_obs)
        tables.append(rows.assign(epochs=rows["set"].map(trained))[COLUMNS])
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """The mean over folds and seeds of each set, its spread over folds within a seed, and over seeds."""
    keys = ["dataset", "set", "integrated"]
    by_seed = rows.groupby([*keys, "seed"], sort=False)["auc"].agg(["mean", "var"]).groupby(keys, sort=False)
    table = pd.DataFrame(
        {
            "AUC": by_seed["mean"].mean(),
            "sd of folds": by_seed["var"].mean() ** 0.5,
            "sd of seeds": by_seed["mean"].std(),
        }
    ).unstack("integrated")
    table.columns = [f"{name}, integrated" if integrated else name for name, integrated in table.columns]
    shown = [name for name in table.columns if "integrated" not in name]
    table = table[[*shown, *(f"{name}, integrated" for name in shown)]]
    table.insert(0, "seeds", rows.groupby(keys[:2])["seed"].nunique())
    table.insert(1, "epochs", rows.groupby(keys[:2])["epochs"].mean().round())
    return table.reset_index()


def write(rows: pd.DataFrame, out: Path) -> None:
    """``paper_protocol.csv`` and ``paper_protocol.md``."""
    out.mkdir(parents=True, exist_ok=True)
    rows.to_csv(out / "paper_protocol.csv", index=False)
    table = summary(rows).round(3).astype(object)
    text = table.where(table.notna(), None).to_markdown(index=False, missingval="–")
    (out / "paper_protocol.md").write_text(text + "\n")


def main() -> None:
    """Train what is missing, grow the forests and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--paper-seeds", type=int, nargs="*", default=[0], help="of the paper's configuration")
    parser.add_argument("--epochs", type=int, help="of ours, for a quick try; its default otherwise")
    parser.add_argument("--paper-epochs", type=int, help="of the paper's configuration; 610 otherwise")
    parser.add_argument("--trees", type=int, default=1000, help="of each forest, for a quick try")
    parser.add_argument("--peers", type=Path, help="folder of the cells that peers.py has drawn, OUT/peers")
    parser.add_argument("--again", action="store_true", help="grow all forests again")
    parser.add_argument("--runs", type=Path, default=Path(__file__).parent / "runs" / "paper_protocol")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the table")
    args = parser.parse_args()
    kept = args.out / "paper_protocol.csv"
    rows = pd.read_csv(kept) if kept.exists() and not args.again else pd.DataFrame(columns=COLUMNS)
    for path in args.data:
        for seed in args.seeds:
            rows = detect(args, path, seed, rows)
            write(rows, args.out)


if __name__ == "__main__":
    main()
