"""Realism of generated cells, beside other generators and beside a second set of real cells.

    python benchmarks/realism.py --data FILE [FILE ...] [--seeds 0 1 2] [--methods activa ...]

Splits each file 60/20/20 (train, test, floor) by type, trains each method in a process of its own, generates the test
set's types with each, and compares all of them, and the floor, with the test cells. ACTIVA runs on every seed, which
decides split, training and draws, the others on the first; real cells are compared on further splits. What is done is
kept in --out and not done again, but for metrics that are new. The tables are of all that --out holds.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import _report
import anndata as ad
from _data import split
from _judge import NAMES, RARE_RECALL, Judge
from _methods import EVERY_SEED, METHODS, USUAL
from _rare import rare_labels
from _results import REAL, Results
from _task import Task


def fit(args: argparse.Namespace, path: Path, method: str, seed: int) -> None:
    """Train one method and write its cells and what it took. Runs in a process of its own, for the peak memory."""
    parts = split(path, args.labels_key, seed)
    labels, rare = parts["test"].obs[args.labels_key].to_numpy(dtype=str), rare_labels(parts, args.labels_key)
    results = Results(args.out, path.stem)
    task = Task(parts["train"], labels, rare, args.labels_key, seed, args.max_epochs, results.folder)
    run = METHODS[method](task)
    for name, cells in run.cells.items():
        for stale in (results.scores_file(name, seed), results.rare_file(name, seed)):
            stale.unlink(missing_ok=True)
        cells.write_h5ad(results.cells_file(name, seed))
    for name, cells in run.rare.items():
        cells.write_h5ad(results.rare_file(name, seed))
    cost = {
        "names": list(run.cells),
        "max_epochs": args.max_epochs,
        "labels_key": args.labels_key,
        "seconds": run.seconds,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "versions": {package: version(package) for package in ("activa-sc", "scvi-tools", "torch", "anndata")},
    }
    results.cost_file(method, seed).write_text(json.dumps(cost, indent=2))


def run_missing(args: argparse.Namespace, path: Path) -> list[str]:
    """Train what has not been trained; what failed is told and leaves the rest to go on."""
    results, failed = Results(args.out, path.stem), []
    results.folder.mkdir(parents=True, exist_ok=True)
    for method in args.methods:
        for seed in args.seeds if method in EVERY_SEED else args.seeds[:1]:
            cost_file = results.cost_file(method, seed)
            if method in args.redo:
                cost_file.unlink(missing_ok=True)
            if not cost_file.exists():
                command = [sys.executable, __file__, *sys.argv[1:], "--fit", method, str(path), str(seed)]
                if subprocess.run(command).returncode:
                    failed.append(f"{method} on {path.stem}, seed {seed}")
    return failed


def score_missing(args: argparse.Namespace, path: Path) -> list[str]:
    """Compute the metrics that are not known, of every run there is and of real cells."""
    results, failed = Results(args.out, path.stem), []
    runs = [(name, seed) for _, seed, cost in results.runs() for name in cost["names"]]
    for seed in sorted({*range(args.splits), *args.seeds, *(seed for _, seed in runs)}):
        judge = None
        for name in [*(name for name, its_seed in runs if its_seed == seed), REAL]:
            known = results.scores(name, seed)
            missing = [metric for metric in NAMES if metric not in known]
            if not missing:
                continue
            judge = judge or Judge(split(path, args.labels_key, seed), args.labels_key, seed)
            try:
                results.add_scores(name, seed, scores(judge, results, name, seed, missing))
            except (OSError, ValueError, KeyError) as error:
                failed.append(f"scores of {name} on {path.stem}, seed {seed}: {error}")
    return failed


def scores(judge: Judge, results: Results, name: str, seed: int, metrics: list[str]) -> dict[str, float]:
    """These metrics of a generator's cells, or of the floor's."""
    if name == REAL:
        cells, rare = judge.floor, [judge.test, judge.floor]
    else:
        cells = judge.read(ad.read_h5ad(results.cells_file(name, seed)))
        rare_file = results.rare_file(name, seed)
        rare = [judge.read(ad.read_h5ad(rare_file)) if rare_file.exists() else cells]
    found = judge.score(cells, [metric for metric in metrics if metric != RARE_RECALL])
    return found | ({RARE_RECALL: judge.rare_recall(*rare)} if RARE_RECALL in metrics else {})


def check_arguments(args: argparse.Namespace) -> None:
    """What is kept must be of the same arguments."""
    for path in args.data:
        for method, seed, cost in Results(args.out, path.stem).runs():
            if any(cost[name] != getattr(args, name) for name in ("max_epochs", "labels_key")):
                raise SystemExit(
                    f"{method}-{seed} of {path.stem} in {args.out} is of a run with other arguments: choose another "
                    "--out, or delete it."
                )


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), default=USUAL, help="which to run")
    parser.add_argument(
        "--redo", nargs="+", choices=list(METHODS), default=[], help="which to run again (see --methods)"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split, training and draws")
    parser.add_argument("--splits", type=int, default=20, help="splits, from seed 0, that compare real with real cells")
    parser.add_argument("--max-epochs", type=int, help="for a quick try; the methods' own defaults otherwise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    parser.add_argument("--fit", nargs=3, metavar=("METHOD", "FILE", "SEED"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.fit:
        method, path, seed = args.fit
        fit(args, Path(path), method, int(seed))
        return
    check_arguments(args)
    failed = []
    for path in args.data:
        failed += run_missing(args, path) + score_missing(args, path)
    _report.write(args.out)
    if failed:
        raise SystemExit("Failed, and left out: " + "; ".join(failed))


if __name__ == "__main__":
    main()
