"""SIGKILL at random moments of training, saving, exporting and generating; see that nothing half is found after.

    python tests/faults/kill.py [--kills 20] [--kinds train save export generate_zarr cli] [--seed 0] [--out kills.csv]

Each kill is a row: the moment, drawn by the seed; what was found; for training the epochs done, those that the checkpoint
has, and whether the run that went on from it ended with the weights of a run that was left alone.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # as in pytest
from faults.children import end, start, wait_for
from faults.work import WRITING, read_back, train, untrained, write_again

KINDS = ["train", *WRITING]
SPAN = 4.0  # seconds of writing, several times what one write takes, within which the moment of the kill is drawn


def parts(folder: Path) -> int:
    """What processes that were killed while they wrote have left."""
    return len(list(folder.glob("**/.*.part")))


def killed(moment: float, started: Path, work, *args) -> bool:
    """Start some work, kill it so many seconds after it wrote a file, and say whether it had not ended by itself."""
    process = start(work, *args)
    wait_for(started, process)
    time.sleep(moment)
    end(process, signal.SIGKILL)
    return process.exitcode == -signal.SIGKILL


def left_alone(folder: Path, ckpt_path: Path | None = None) -> tuple[float, dict[str, torch.Tensor]]:
    """Train in a process that is left alone; the seconds from the first epoch on, and the weights."""
    process = start(train, folder, ckpt_path)
    wait_for(folder / "epochs", process)
    begin = time.monotonic()
    process.join()
    assert process.exitcode == 0, process.exitcode
    return time.monotonic() - begin, torch.load(folder / "weights.pt", weights_only=True)


def kill_training(folder: Path, moment: float, expected: dict[str, torch.Tensor]) -> dict[str, object]:
    """Kill training, go on from its checkpoint, and compare with a run that was left alone."""
    folder.mkdir()
    was_killed = killed(moment, folder / "epochs", train, folder)
    done = len((folder / "epochs").read_text().split())
    last, kept, left = folder / "run" / "last.ckpt", 0, parts(folder)
    if last.exists():
        kept = int(torch.load(last, weights_only=False)["epoch"]) + 1
    _, weights = left_alone(folder, last if kept else None)
    return {
        "killed": was_killed, "leftovers": left, "left after the next run": parts(folder), "epochs done": done,
        "in checkpoint": kept, "lost": done - kept,
        "same weights": all(torch.equal(weights[name], value) for name, value in expected.items()),
    }  # fmt: skip


def kill_writing(kind: str, folder: Path, moment: float) -> dict[str, object]:
    """Kill a process that writes over what others have written, and read what is there."""
    (folder / "started").unlink(missing_ok=True)
    was_killed = killed(moment, folder / "started", write_again, kind, folder)
    return {"killed": was_killed, "leftovers": parts(folder), "found": read_back(kind, folder)}


def make_models(kind: str, folder: Path) -> None:
    """Two models with other weights, saved and exported, and what the first killed process is to write over."""
    for i in reversed(range(2)):
        model = untrained(seed=i)
        model.train(max_epochs=1, enable_progress_bar=False, accelerator="cpu")
        model.save(str(folder / f"saved_{i}"), save_anndata=True)
        model.export(folder / f"model_{i}")
    WRITING[kind](model, folder, 0)


def kill(kind: str, n_kills: int, seed: int, folder: Path) -> pd.DataFrame:
    """A row for each kill."""
    rng, rows = np.random.default_rng([seed, KINDS.index(kind)]), []
    if kind == "train":
        (folder / "alone").mkdir()
        seconds, expected = left_alone(folder / "alone")
        seconds *= 0.9  # the next may be faster
    else:
        make_models(kind, folder)
    for i in range(n_kills):
        if kind == "train":
            moment = rng.uniform(0, seconds)
            row = kill_training(folder / str(i), moment, expected)
        else:
            moment = rng.uniform(0, SPAN)
            row = kill_writing(kind, folder, moment)
        rows.append({"kind": kind, "moment": round(moment, 3), **row})
        print(rows[-1], flush=True)
    table = pd.DataFrame(rows)
    # a kill leaves one hidden folder at most, and the next that writes there clears it
    assert table["leftovers"].max() <= 1
    assert kind == "train" or (table["found"] == "whole").all()
    if kind == "train":
        assert (table["lost"] <= 1).all() and table["same weights"].all()
        assert not table["left after the next run"].any()
    return table


def main() -> None:
    """Kill, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    tables = []
    for kind in args.kinds:
        with tempfile.TemporaryDirectory() as folder:
            tables.append(kill(kind, args.kills, args.seed, Path(folder)))
    table = pd.concat(tables)
    print(table.to_string())
    if args.out is not None:
        table.to_csv(args.out, index=False)


if __name__ == "__main__":
    main()
