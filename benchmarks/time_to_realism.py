"""How much longer scGAN and cscGAN train until their cells are as realistic as ACTIVA's.

    python benchmarks/time_to_realism.py --data FILE [FILE ...] [--seed 0] [--cap 20]

Trains ACTIVA by its defaults, then each GAN, whose cells are scored whenever it has trained 1, 2, 5, 10, 20, ... times
as long, until RF AUC and W2 both are at or below ACTIVA's, or for ``--cap`` times as long. Generating and scoring do not
count. Splits and scores are those of realism.py, on log1p of values scaled to 10,000 a cell: a GAN makes no counts.

Wall seconds on one machine, which nothing else should use. All of a dataset is run in one go, and then kept in
time_to_realism.jsonl in --out and not run again; what was interrupted starts over, since seconds of different runs do
not compare. The tables are of all that --out holds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from _data import split
from _judge import floor_scores, scores
from _report import show
from _scgan import ScGAN

from activa import ACTIVA

METRICS = ["rf_auc", "wasserstein"]
OURS, FLOOR = "ACTIVA", "real cells (floor)"
GANS = {"scGAN": False, "cscGAN": True}
"""And whether it is given the types."""
RUN = ["dataset", "seed", "cap", "max_epochs"]
"""What decides a row, beside the method and the checkpoint."""


def checkpoints(cap: float) -> list[float]:
    """1, 2, 5, 10, 20, ... below the cap, and the cap."""
    steps = (step * 10**power for power in range(6) for step in (1, 2, 5))
    return [step for step in steps if step < cap] + [cap]


def race(args: argparse.Namespace, path: Path) -> Iterator[dict]:
    """A row for the floor and ACTIVA, and for each checkpoint of each GAN."""
    parts = split(path, args.labels_key, args.seed)
    labels = parts["test"].obs[args.labels_key].to_numpy(dtype=str)
    yield {"method": FLOOR} | floor_scores(parts, args.labels_key, args.seed, METRICS)

    ACTIVA.setup_anndata(parts["train"], labels_key=args.labels_key)
    start = time.perf_counter()
    model = ACTIVA(parts["train"], seed=args.seed)
    model.train(max_epochs=args.max_epochs, seed=args.seed, enable_progress_bar=False)
    seconds = time.perf_counter() - start
    ours = scores(parts, model.generate(labels=list(labels), seed=args.seed), args.labels_key, args.seed, METRICS)
    yield {"method": OURS, "seconds": seconds, "ratio": 1.0} | ours

    for method, given_types in GANS.items():
        start = time.perf_counter()
        gan = ScGAN(parts["train"], labels_key=args.labels_key if given_types else None, seed=args.seed)
        spent = time.perf_counter() - start
        for checkpoint in checkpoints(args.cap):
            start = time.perf_counter()
            gan.train(seconds=checkpoint * seconds - spent)
            spent += time.perf_counter() - start
            asked = {"labels": labels} if given_types else {"n": len(labels)}
            theirs = scores(parts, gan.generate(**asked, seed=args.seed), args.labels_key, args.seed, METRICS)
            reached = all(theirs[metric] <= ours[metric] for metric in METRICS)
            steps = len(gan.critic_losses)
            yield (
                {"method": method, "seconds": spent, "ratio": spent / seconds, "steps": steps}
                | theirs
                | {"reached": reached}
            )
            if reached:
                break


def verdict(rows: pd.DataFrame) -> str:
    """Between which times ACTIVA's a GAN was as realistic first, from its checkpoints."""
    ratios = [show(ratio) for ratio in rows["ratio"]]
    if not rows["reached"].iloc[-1]:
        return f"at least {ratios[-1]}"
    return f"{ratios[-2]} to {ratios[-1]}" if len(ratios) > 1 else f"at most {ratios[-1]}"


def write(rows: pd.DataFrame, file: Path) -> None:
    """The ratios of every run, then its checkpoints."""
    summary = []
    for run, its_rows in rows.groupby(RUN, dropna=False, sort=False):
        of_method = dict(list(its_rows.groupby("method")))
        ratios = {f"{gan} / {OURS}": verdict(of_method[gan]) for gan in GANS}
        seconds = show(of_method[OURS]["seconds"].item())
        summary.append(dict(zip(RUN, run, strict=True)) | {f"{OURS}, s": seconds} | ratios)
    figures = rows[["seconds", "ratio", *METRICS]].map(show)
    figures.insert(2, "steps", rows["steps"].map("{:.0f}".format, na_action="ignore").fillna("–"))
    tables = [
        table.dropna(axis="columns", how="all").to_markdown(index=False, disable_numparse=True)
        for table in (pd.DataFrame(summary), pd.concat([rows[[*RUN, "method"]], figures], axis="columns"))
    ]
    file.write_text(f"Training time to equal realism:\n\n{tables[0]}\n\nEvery checkpoint:\n\n{tables[1]}\n")


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--seed", type=int, default=0, help="of the split, training and draws")
    parser.add_argument("--cap", type=float, default=20.0, help="times ACTIVA's time that a GAN may train")
    parser.add_argument("--max-epochs", type=int, help="of ACTIVA, for a quick try; its default otherwise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "time_to_realism.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    for path in args.data:
        run = dict(zip(RUN, (path.stem, args.seed, args.cap, args.max_epochs), strict=True))
        if any(row.items() >= run.items() for row in rows):
            continue
        new = []
        for row in race(args, path):
            new.append(run | row)
            print(json.dumps(new[-1]), flush=True)
        with file.open("a") as lines:
            lines.writelines(json.dumps(row) + "\n" for row in new)
        rows += new
        write(pd.DataFrame(rows), args.out / "time_to_realism.md")


if __name__ == "__main__":
    main()
