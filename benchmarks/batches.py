"""Whether cells generated for a batch are recognized as that batch as often as real held-out cells are.

    python benchmarks/batches.py --data FILE [FILE ...] --batch-key batch --labels-key cell_type

For each type a forest learns the batch from real training cells, with batches of equal weight, in the 50 principal
components of all training cells. It then reads real held-out cells, a second held-out set, and generated cells, of the
same types and batches in the same numbers. Shares are means over the batches of a type, and then over types, so that
guessing gives one over the number of batches. Writes Markdown and CSV, a row a seed, and a row a type and batch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _data import split
from sklearn.ensemble import RandomForestClassifier

from activa import ACTIVA
from activa.data import read_cells
from activa.metrics.space import Space

MIN_TRAINING_CELLS, MIN_TEST_CELLS, MIN_GENERATED = 10, 5, 100


def train_and_generate(parts: dict[str, ad.AnnData], labels_key: str, batch_key: str, seed: int) -> ad.AnnData:
    """Cells of the held-out cells' types and batches; several times over, where these are few."""
    cells = parts["train"].copy()
    ACTIVA.setup_anndata(cells, labels_key=labels_key, batch_key=batch_key)
    model = ACTIVA(cells, seed=seed)
    model.train(seed=seed, enable_progress_bar=False)
    sizes = parts["test"].obs.groupby([labels_key, batch_key], observed=True).size().clip(lower=MIN_GENERATED)
    rows = sizes.index.repeat(sizes)
    types, batches = (rows.get_level_values(level).to_numpy() for level in (0, 1))
    known = np.isin(types, model.types) & np.isin(batches, cells.obs[batch_key].unique())
    return model.generate(labels=types[known], batch=batches[known], seed=seed)


def recognized(sets: dict[str, ad.AnnData], labels_key: str, batch_key: str, seed: int) -> pd.DataFrame:
    """Share of each set's cells recognized, a row for each type and batch; sets["train"] is what forests learn."""
    cells = read_cells(sets, labels_key=labels_key, layer=None, normalized=False)
    space = Space(cells["train"], seed)
    components = {name: space.project(part) for name, part in cells.items()}
    types = {name: part.types for name, part in cells.items()}
    batches = {name: part.obs[batch_key].to_numpy(dtype=str) for name, part in sets.items()}
    rows = []
    for label in np.unique(types["train"]):
        counts = {
            name: pd.Series(batches[name][types[name] == label]).value_counts() for name in ("train", "test", "floor")
        }
        chosen = [
            b
            for b, n in counts["train"].sort_index().items()
            if n >= MIN_TRAINING_CELLS and min(counts[name].get(b, 0) for name in ("test", "floor")) >= MIN_TEST_CELLS
        ]
        if len(chosen) < 2:
            continue
        of = {name: (types[name] == label) & np.isin(batches[name], chosen) for name in sets}
        forest = RandomForestClassifier(500, class_weight="balanced", random_state=seed)
        forest.fit(components["train"][of["train"]], batches["train"][of["train"]])
        found = {name: forest.predict(components[name][of[name]]) for name in sets if name != "train"}
        for b in chosen:
            shares = {name: float(np.mean(guess[batches[name][of[name]] == b] == b)) for name, guess in found.items()}
            rows.append(
                {"type": label, "batch": b, "n_test": int(counts["test"][b]), "chance": 1 / len(chosen), **shares}
            )
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Means over the batches of a type, then over types; a row a dataset and seed."""
    of_types = table.groupby(["data", "seed", "type"])[["chance", "test", "floor", "generated"]].mean()
    found = of_types.groupby(["data", "seed"]).mean()
    found.insert(0, "types", of_types.groupby(["data", "seed"]).size())
    return found.rename(columns={"test": "real", "floor": "real, second set"}).reset_index()


def main() -> None:
    """Run every file and seed, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--batch-key", default="batch", help="column of obs with the batches")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    tables = []
    for path in args.data:
        for seed in args.seeds:
            parts = split(path, args.labels_key, seed)
            for part in parts.values():
                part.obs[args.batch_key] = part.obs[args.batch_key].astype(str).astype("category")
            parts["generated"] = train_and_generate(parts, args.labels_key, args.batch_key, seed)
            table = recognized(parts, args.labels_key, args.batch_key, seed)
            table.insert(0, "data", path.stem)
            table.insert(1, "seed", seed)
            tables.append(table)
            print(summary(table).round(3).to_string(index=False), flush=True)
            # after each, so that a run that is broken off has told what it found
            found = pd.concat(tables)
            found.round(4).to_csv(args.out / "batches.csv", index=False)
            (args.out / "batches.md").write_text(summary(found).round(3).to_markdown(index=False) + "\n")


if __name__ == "__main__":
    main()
