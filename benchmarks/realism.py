"""Realism of generated cells, beside other generators, other real cells and the generator fitted to itself.

    python benchmarks/realism.py --data FILE [FILE ...] [--seeds 0 1 2] [--methods activa ...]

Splits each file by type into training cells (60%) and unseen ones, trains each method in a process of its own, generates the
unseen cells' types with each, and judges these cells. ACTIVA runs on every seed, which decides split, training and draws, and
is also taken for the truth and trained again on its own cells (the refit floor); the others run on the first seed. What is
done is kept in --out and not done again. The tables are of all that --out holds.
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
from _judge import judge, unseen_cells
from _methods import EVERY_SEED, METHODS, USUAL
from _results import Results
from _task import Task


def fit(args: argparse.Namespace, path: Path, method: str, seed: int) -> None:
    """Train one method and write its cells and what it took. Runs in a process of its own, for the peak memory."""
    parts = split(path, args.labels_key, seed)
    labels = unseen_cells(parts).obs[args.labels_key].to_numpy(dtype=str)
    results = Results(args.out, path.stem)
    run = METHODS[method](Task(parts["train"], labels, args.labels_key, seed, args.max_epochs, results.folder))
    for name, cells in run.cells.items():
        for stale in (results.scores_file(name, seed), results.refit_scores_file(name, seed)):
            stale.unlink(missing_ok=True)
        cells.write_h5ad(results.cells_file(name, seed))
    for name, sets in run.refit.items():
        for cells, file in zip(sets, results.refit_files(name, seed), strict=True):
            cells.write_h5ad(file)
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
    """Judge the cells, and those of refits, that have not been judged."""
    results, failed = Results(args.out, path.stem), []
    for _, seed, cost in results.runs():
        parts = split(path, args.labels_key, seed)
        for name in cost["names"]:
            real, train = unseen_cells(parts), parts["train"]
            tasks = [(results.scores_file(name, seed), None, results.cells_file(name, seed), train)]
            truth, refit = results.refit_files(name, seed)
            tasks += [(results.refit_scores_file(name, seed), truth, refit, None)] if refit.exists() else []
            for file, truth_file, cells_file, training in tasks:
                if file.exists():
                    continue
                try:
                    against = real if truth_file is None else ad.read_h5ad(truth_file)
                    cells = ad.read_h5ad(cells_file)[:, against.var_names].copy()
                    judge(against, cells, training, args.labels_key, seed).drop(columns="description").to_csv(file)
                    print(file.name, flush=True)
                except (OSError, ValueError, KeyError) as error:
                    failed.append(f"{file.stem} of {path.stem}: {error}")
    return failed


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
