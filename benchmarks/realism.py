"""Realism of generated cells, beside scVI's and beside a second set of real cells.

    python benchmarks/realism.py --data FILE [FILE ...]

Splits each file 60/20/20 (train, test, floor) by type, trains each method on the same machine in a process of its own,
generates the test set's types with each, and writes one table a dataset, and all of them as Markdown. What is done is
kept in --out and not done again.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import anndata as ad
import pandas as pd
from _data import split
from _methods import METHODS

# None of these looks at types
LABEL_FREE = ["rf_auc", "mmd", "wasserstein", "mixing", "dropout_distance"]


def fit(args: argparse.Namespace, path: Path, method: str) -> None:
    """Train one method and write its cells and what it took. Runs in a process of its own, for the peak memory."""
    parts = split(path, args.labels_key, args.seed)
    made, seconds = METHODS[method](parts["train"], parts["test"], args.labels_key, args.seed, args.max_epochs)
    folder = args.out / path.stem
    for name, synthetic in made.items():
        synthetic.write_h5ad(folder / f"{name}-{args.seed}.h5ad")
    cost = {
        "names": list(made),
        "max_epochs": args.max_epochs,
        "labels_key": args.labels_key,
        "seconds": seconds,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "versions": {package: version(package) for package in ("activa-sc", "scvi-tools", "torch", "anndata")},
    }
    (folder / f"{method}-{args.seed}.json").write_text(json.dumps(cost, indent=2))


def _is_of(cost: dict, args: argparse.Namespace) -> bool:
    return all(cost[name] == getattr(args, name) for name in ("max_epochs", "labels_key"))


def table(args: argparse.Namespace, path: Path) -> pd.DataFrame:
    """Every metric of every method, a row a method."""
    from activa.metrics import evaluate

    folder = args.out / path.stem
    folder.mkdir(parents=True, exist_ok=True)
    parts, rows, floor = None, {}, {}
    for method in args.methods:
        cost_file = folder / f"{method}-{args.seed}.json"
        if cost_file.exists() and not _is_of(json.loads(cost_file.read_text()), args):
            raise SystemExit(f"{cost_file} is of a run with other arguments: choose another --out, or delete it.")
        if not cost_file.exists():
            command = [sys.executable, __file__, *sys.argv[1:], "--fit", method, str(path)]
            subprocess.run(command, check=True)
        cost = json.loads(cost_file.read_text())
        for name in cost["names"]:
            scores_file = folder / f"{name}-{args.seed}.csv"
            if not scores_file.exists() or scores_file.stat().st_mtime < cost_file.stat().st_mtime:
                parts = parts or split(path, args.labels_key, args.seed)
                synthetic = ad.read_h5ad(folder / f"{name}-{args.seed}.h5ad")
                labelled = args.labels_key in synthetic.obs
                evaluate(
                    parts["test"],
                    synthetic,
                    floor=parts["floor"],
                    train=parts["train"],
                    labels_key=args.labels_key if labelled else None,
                    metrics=None if labelled else [*LABEL_FREE, "copy_ratio"],
                    seed=args.seed,
                ).to_csv(scores_file)
            scores = pd.read_csv(scores_file, index_col="metric")
            floor = {**scores["floor"].to_dict(), **floor} if len(floor) > len(scores) else scores["floor"].to_dict()
            rows[name] = {
                **scores["value"].to_dict(),
                "train_seconds": cost["seconds"]["train"],
                "generate_seconds": cost["seconds"]["generate"],
                "peak_gb": cost["peak_gb"],
            }
    return pd.DataFrame.from_dict({"real cells (floor)": floor, **rows}, orient="index").rename_axis("generator")


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--seed", type=int, default=0, help="of the split, the training and the draws")
    parser.add_argument("--max-epochs", type=int, help="for a quick try; the methods' own defaults otherwise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    parser.add_argument("--fit", nargs=2, metavar=("METHOD", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fit:
        fit(args, Path(args.fit[1]), args.fit[0])
        return
    sections = []
    for path in args.data:
        result = table(args, path)
        result.to_csv(args.out / f"{path.stem}-{args.seed}.csv")
        sections.append(f"## {path.stem}\n\n{result.round(3).T.to_markdown()}\n")
        print(sections[-1], flush=True)
    (args.out / "realism.md").write_text("\n".join(sections))


if __name__ == "__main__":
    main()
