"""Whether the judge can be believed: its figures on other seeds, on real cells, and on cells with known faults.

    python benchmarks/judge.py --data FILE [FILE ...] [--parts seeds null power] [--repeats 20]

``seeds`` evaluates the same real and generated cells with other seeds (``--cells FOLDER`` holds NAME-unseen.h5ad and
NAME-ACTIVA.h5ad). ``null`` evaluates real cells as if they were generated. ``power`` evaluates real cells with a fault:
copies of training cells, genes shuffled within types, 1.2 times the depth, a tenth of the labels wrong, a type missing, half
the variance, a fifth of the counts lost, 30% doublets. Each draw takes disjoint real, training and "generated" cells. Tables
are kept in --out and not made again; the summaries are of all that --out holds.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from activa.metrics import evaluate, judge

OF_SEEDS = ["rf_auc", "quadratic_auc", "label_fidelity"]

type Fault = Callable[[ad.AnnData, ad.AnnData, np.random.Generator], ad.AnnData]


def _with_counts(cells: ad.AnnData, counts: np.ndarray | csr_matrix) -> ad.AnnData:
    return ad.AnnData(csr_matrix(counts, dtype=np.float32), obs=cells.obs.copy(), var=cells.var.copy())


def _dense(cells: ad.AnnData) -> np.ndarray:
    return cells.X.toarray().astype(np.int64)


def _partners(cells: ad.AnnData, key: str | None, rng: np.random.Generator) -> np.ndarray:
    """For each cell another one, of its type if there is a key."""
    if key is None:
        return rng.permutation(cells.n_obs)
    partners = np.arange(cells.n_obs)
    for label in cells.obs[key].unique():
        of_type = np.flatnonzero(cells.obs[key] == label)
        partners[of_type] = np.roll(rng.permutation(of_type), 1)[np.argsort(rng.permutation(len(of_type)))]
    return partners


def faults(key: str) -> dict[str, Fault]:
    """Each makes faulty cells of good ones (and of training cells)."""

    def shuffled(cells: ad.AnnData, train: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        x = _dense(cells)
        for label in cells.obs[key].unique():
            of_type = np.flatnonzero(cells.obs[key] == label)
            x[of_type] = rng.permuted(x[of_type], axis=0)
        return _with_counts(cells, x)

    def deeper(cells: ad.AnnData, train: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        x = _dense(cells)
        return _with_counts(cells, x + rng.binomial(x, 0.2))

    def wrong_type(cells: ad.AnnData, train: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        wrong = cells.copy()
        labels = wrong.obs[key].astype(str).to_numpy()
        types = np.unique(labels)
        for i in rng.permutation(len(labels))[: len(labels) // 10]:
            labels[i] = rng.choice(types[types != labels[i]])
        wrong.obs[key] = labels
        return wrong

    def without_type(cells: ad.AnnData, train: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        shares = cells.obs[key].value_counts(normalize=True)
        label = (shares - 0.07).abs().idxmin()  # neither the largest nor a rare one
        kept = np.flatnonzero(cells.obs[key] != label)
        return cells[np.sort(np.concatenate([kept, rng.choice(kept, cells.n_obs - len(kept), replace=False)]))].copy()

    def half_variance(cells: ad.AnnData, train: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        x = _dense(cells)
        return _with_counts(cells, rng.binomial(x + x[_partners(cells, key, rng)], 0.5))

    def thinned(cells: ad.AnnData, train: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        return _with_counts(cells, rng.binomial(_dense(cells), 0.8))

    def doublets(cells: ad.AnnData, train: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        x = _dense(cells)
        doubled = rng.permutation(len(x))[: int(0.3 * len(x))]
        y = x.copy()
        y[doubled] += x[_partners(cells, None, rng)[doubled]]
        return _with_counts(cells, y)

    def copies(cells: ad.AnnData, train: ad.AnnData, rng: np.random.Generator) -> ad.AnnData:
        return train[np.sort(rng.integers(train.n_obs, size=cells.n_obs))].copy()

    return {
        "none": lambda cells, train, rng: cells,
        "copies of training cells": copies,
        "genes shuffled within types": shuffled,
        "1.2 times the depth": deeper,
        "a tenth of the labels wrong": wrong_type,
        "a type missing": without_type,
        "half the variance": half_variance,
        "a fifth of the counts lost": thinned,
        "30% doublets": doublets,
    }


def draws(path: Path, n_cells: int, seed: int) -> tuple[ad.AnnData, ad.AnnData, ad.AnnData]:
    """Disjoint real, training and "generated" cells."""
    adata = ad.read_h5ad(path)
    order = np.random.default_rng(seed).permutation(adata.n_obs)
    size = min(n_cells, adata.n_obs // 3)
    real, train, cells = (adata[np.sort(order[i * size : (i + 1) * size])].copy() for i in range(3))
    for part in (real, train, cells):
        part.obs_names_make_unique()
    return real, train, cells


def tasks(args: argparse.Namespace) -> Iterator[tuple[Path, Callable[[], pd.DataFrame]]]:
    """Files to be made, and how."""
    key = args.labels_key

    def table(path: Path, fault: str, i: int) -> pd.DataFrame:
        real, train, cells = draws(path, args.cells_a_side, i)
        made = faults(key)[fault](cells, train, np.random.default_rng([i, 1]))
        # the training cells are read where they matter: overfitting takes as long as all else
        return evaluate(real, made, labels_key=key, train=train if fault.startswith("copies") else None, seed=i)

    def of_seed(path: Path, seed: int) -> pd.DataFrame:
        sets = [ad.read_h5ad(args.cells / f"{path.stem}-{name}.h5ad") for name in ("unseen", "ACTIVA")]
        rng = np.random.default_rng(0)
        real, made = (x[np.sort(rng.permutation(x.n_obs)[: args.cells_a_side])].copy() for x in sets)
        return evaluate(real, made, labels_key=key, metrics=OF_SEEDS, seed=seed)

    for i in range(args.repeats):
        for path in args.data:
            if "null" in args.parts:
                yield args.out / f"{path.stem}-none-{i}.csv", lambda path=path, i=i: table(path, "none", i)
            if "seeds" in args.parts:
                yield args.out / f"{path.stem}-seed-{i}.csv", lambda path=path, i=i: of_seed(path, i)
            for fault in faults(key) if "power" in args.parts and i < args.fault_repeats else ():
                file = args.out / f"{path.stem}-{fault}-{i}.csv"
                yield file, lambda path=path, fault=fault, i=i: table(path, fault, i)


def seeds_table(tables: dict[str, list[pd.DataFrame]]) -> pd.DataFrame:
    """How the forest's figure and the verdict depend on the seed."""
    rows = {}
    for dataset, of in tables.items():
        forest = pd.DataFrame([table.loc["rf_auc"] for table in of])
        mean = forest["value"].mean()
        grades = pd.Series([judge(table).grade for table in of]).value_counts()
        rows[dataset] = {
            "evaluations": len(of),
            "AUC, mean": f"{mean:.3f}",
            "sd": f"{forest['value'].std():.4f}",
            "mean interval": f"{forest['low'].mean():.3f} to {forest['high'].mean():.3f}",
            "intervals that cover the mean": f"{((forest['low'] < mean) & (mean < forest['high'])).mean():.0%}",
            "verdicts": ", ".join(f"{grade} ({n})" for grade, n in grades.items()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("dataset")


def power_table(tables: dict[str, list[pd.DataFrame]]) -> pd.DataFrame:
    """For each fault, how often any metric finds the cells unlike real ones, and which do."""
    rows = {}
    for fault, of in tables.items():
        unlike = pd.DataFrame([table["judgment"] == "unlike real" for table in of])
        shares = unlike.mean().sort_values(ascending=False, kind="stable")
        named = ", ".join(f"{name} {share:.0%}" for name, share in shares[shares > 0].head(6).items())
        rows[fault] = {"evaluations": len(of), "any alarm": f"{unlike.any(axis=1).mean():.0%}", "by": named or "none"}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cells")


def write(out: Path) -> None:
    """Write the summaries of all tables that the folder holds."""
    seeds: dict[str, list[pd.DataFrame]] = {}
    power: dict[str, list[pd.DataFrame]] = {}
    for file in sorted(out.glob("*.csv")):
        dataset, case, _ = file.stem.split("-", 1)[0], *file.stem.split("-", 1)[1].rsplit("-", 1)
        kept, key = (seeds, dataset) if case == "seed" else (power, case)
        kept.setdefault(key, []).append(pd.read_csv(file, index_col="metric"))
    order = [name for name in faults("") if name in power]
    sections = [power_table({name: power[name] for name in order}).to_markdown()] if power else []
    sections += [seeds_table(seeds).to_markdown(disable_numparse=True)] if seeds else []
    (out.parent / "judge.md").write_text("\n\n".join(sections) + "\n")
    print("\n\n".join(sections), flush=True)


def main() -> None:
    """Make what is missing and write the summaries."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--parts", nargs="+", choices=["seeds", "null", "power"], default=["null", "power"])
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--cells", type=Path, help="folder of unseen and generated cells, for the part 'seeds'")
    parser.add_argument("--cells-a-side", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=20, help="seeds, or draws of real cells, of each file")
    parser.add_argument("--fault-repeats", type=int, default=3, help="draws for each fault and file")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "judge")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", message="Types of real cells|Types are not in the real")
    for file, make in tasks(args):
        if not file.exists():
            make().drop(columns="description").to_csv(file)
            print(file.name, flush=True)
    write(args.out)


if __name__ == "__main__":
    main()
