"""Other generators of counts, each in an environment of its own, judged on cells that none has seen.

    python benchmarks/peers.py --data FILE [FILE ...] [--peers scdesigner matilda scvi ...]

Each peer is installed from pinned wheels into a virtual environment in --envs and run in a process of its own
(_peer_cells.py): it trains on the training cells of the split of realism.py, and draws cells of the types of all other
cells, test and floor. What fails is told in its row with the last line of its error, and the rest goes on. Cells, figures
and errors are kept in --out and not made again; --redo names what is. Judging is a step of its own: --peers without a
name makes no cells, and --judge again judges all that --out holds for these files.

Cells from generators that cannot be installed here are judged likewise: --write-training FOLDER writes the training cells
(NAME-train.h5ad: counts in X, types in obs) and the types to draw, a row a cell (NAME-asked.csv). Draw one cell of each
row, save them as h5ad with counts in X, the types in obs under the same name and the same var_names, and give the file as
--cells GENERATOR=FILE.h5ad beside the one --data that they were made from. Values that are not whole are taken as
expression of any scale that is not logarithmic. Genes that are missing are left out of that row's figures; --genes gives
the peers fewer genes, where all take too long, in rows of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from _data import split
from _peer_judge import judge_missing, unseen_cells, write

from activa.data import log_normalize

_SHARED = ["anndata==0.13.4", "numpy==2.5.5", "scipy==1.18.1", "pandas==3.1.1", "scanpy==1.12.4", "torch==2.15.0"]
REQUIREMENTS: dict[str, list[str]] = {
    "scdesigner": ["scdesigner==0.0.25", *_SHARED],
    "matilda": ["matilda-sc==0.2.1", *_SHARED],
    "univi": ["univi==1.2.1", *_SHARED],
    "scvi": [],
    "independent": [],
    "activa": [],
}
"""What is installed for each peer; those without requirements run in the environment of this script."""
CELLS = Path(__file__).parent / "_peer_cells.py"


class FailedError(Exception):
    """A process that did not end well, with its last line."""


def call(command: list[str], seconds: float | None = None, **env: str) -> None:
    """Run a process; what goes wrong is an error of one line."""
    try:
        done = subprocess.run(
            command, env=os.environ | env, timeout=seconds, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"stopped after {seconds:g} s") from None
    except OSError as error:
        raise FailedError(in_a_line(str(error))) from None
    if done.returncode < 0:
        raise FailedError(f"ended by signal {-done.returncode}")
    if done.returncode:
        raise FailedError(in_a_line(done.stderr.decode(errors="replace")) or f"ended with code {done.returncode}")


def in_a_line(text: str) -> str:
    """The last line of an error, with the names of files and not their folders or hosts: the table is shown to others."""
    return re.sub(r"[^\s'\"]*/[^\s'\"]*/", "", text.strip().splitlines()[-1].strip()) if text.strip() else ""


def interpreter(folder: Path) -> Path:
    """Python of a virtual environment."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def install(peer: str, envs: Path, python: str) -> str:
    """Python of the peer's environment, which is made if its folder is not there."""
    if not REQUIREMENTS[peer]:
        return sys.executable
    folder = envs / peer
    if not folder.exists():
        print(f"{peer}: installing", flush=True)
        pip = ["-m", "pip", "--disable-pip-version-check", "install", "--only-binary", ":all:"]
        try:
            call([python, "-m", "venv", str(folder)], PYTHONPATH="")
            call([str(interpreter(folder)), *pip, *REQUIREMENTS[peer]], PYTHONPATH="")
        except BaseException:
            # half an environment would be taken for a whole one
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return str(interpreter(folder).absolute())


def write_training(path: Path, folder: Path, args: argparse.Namespace) -> tuple[Path, Path]:
    """Write the training cells and the types to draw, and give the two files."""
    parts = split(path, args.labels_key, args.seed)
    folder.mkdir(parents=True, exist_ok=True)
    train, asked = folder / f"{path.stem}-train.h5ad", folder / f"{path.stem}-asked.csv"
    variance = log_normalize(parts["train"].X).toarray().var(axis=0)
    chosen = np.sort(np.argsort(-variance, kind="stable")[: args.genes])
    parts["train"][:, chosen].copy().write_h5ad(train)
    unseen_cells(parts).obs[[args.labels_key]].to_csv(asked, index_label="cell")
    return train, asked


def run_missing(args: argparse.Namespace, path: Path, folder: Path) -> list[str]:
    """Draw the cells that have not been drawn; what failed is told in its row and leaves the rest to go on."""
    failed = []
    with tempfile.TemporaryDirectory() as made:
        files: tuple[Path, Path] | None = None
        for peer in args.peers:
            name = f"{peer}, {args.genes} genes" if args.genes else peer
            out = folder / f"{name}-{args.seed}.h5ad"
            row_file = out.with_suffix(".json")
            if row_file.exists() and peer not in args.redo:
                continue
            for stale in (out, row_file, out.with_suffix(".csv")):
                stale.unlink(missing_ok=True)
            files = files or write_training(path, Path(made), args)
            threads = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"), str(args.threads))
            # the environment of a peer must not find this one's packages
            env = threads | ({"PYTHONPATH": ""} if REQUIREMENTS[peer] else {})
            try:
                python = install(peer, args.envs, args.python)
                print(f"{peer}: drawing cells of {path.stem}", flush=True)
                call([python, str(CELLS), peer, *map(str, files), str(out), str(args.seed)], args.limit, **env)
            except FailedError as error:
                out.unlink(missing_ok=True)
                row_file.write_text(json.dumps({"error": str(error)}, indent=2))
                failed.append(f"{name} on {path.stem}: {error}")
    return failed


def take_cells(args: argparse.Namespace, folder: Path) -> None:
    """Take the cells from a user's files into the folder, to be judged anew."""
    for name, file in args.cells:
        cells = ad.read_h5ad(file)
        if args.labels_key not in cells.obs:
            raise SystemExit(f"{file} must have the types of its cells in obs[{args.labels_key!r}].")
        out = folder / f"{name}-{args.seed}.h5ad"
        out.with_suffix(".csv").unlink(missing_ok=True)
        kept = ad.AnnData(cells.X, obs=cells.obs[[args.labels_key]], var=pd.DataFrame(index=cells.var_names))
        kept.write_h5ad(out)
        out.with_suffix(".json").write_text(json.dumps({"note": "cells from a file"}, indent=2))


def named_file(text: str) -> tuple[str, Path]:
    """Name and file of ``NAME=FILE``."""
    name, _, file = text.partition("=")
    if not re.fullmatch(r"[\w.+ -]+", name) or name in REQUIREMENTS or not Path(file).is_file():
        raise argparse.ArgumentTypeError(
            f"NAME=FILE.h5ad, with a name that no peer has and a file that exists: {text!r}"
        )
    return name, Path(file)


def main() -> None:
    """Draw what is missing, judge it and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument(
        "--peers", nargs="*", choices=list(REQUIREMENTS), default=list(REQUIREMENTS), help="which to run"
    )
    parser.add_argument(
        "--redo", nargs="+", choices=list(REQUIREMENTS), default=[], help="which of --peers to run again"
    )
    parser.add_argument("--genes", type=int, help="give the peers only so many genes, those of the largest variance")
    parser.add_argument("--cells", type=named_file, nargs="+", default=[], metavar="NAME=FILE", help="cells to judge")
    parser.add_argument("--write-training", type=Path, metavar="FOLDER", help="write training cells there, and stop")
    parser.add_argument("--judge", choices=["missing", "again", "not"], default="missing", help="which cells to judge")
    parser.add_argument("--seed", type=int, default=0, help="of the split, training, draws and the judge")
    parser.add_argument("--threads", type=int, default=1, help="of each peer")
    parser.add_argument("--limit", type=float, default=900, help="seconds after which a run is stopped")
    parser.add_argument("--python", default=sys.executable, help="interpreter for new environments")
    parser.add_argument("--envs", type=Path, default=Path(__file__).parent / "cache" / "peers", help="environments")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    args = parser.parse_args()
    if args.write_training:
        for path in args.data:
            print(*write_training(path, args.write_training, args))
        return
    if args.cells and len(args.data) > 1:
        parser.error("--cells are of one dataset: give one file as --data.")
    failed = []
    for path in args.data:
        folder = args.out / "peers" / path.stem
        folder.mkdir(parents=True, exist_ok=True)
        take_cells(args, folder)
        failed += run_missing(args, path, folder)
        if args.judge != "not":
            failed += judge_missing(folder, path, args.labels_key, args.seed, args.judge == "again")
        write(args.out / "peers", args.out)
    if failed:
        print("Failed, and told in the table: " + "; ".join(failed))


if __name__ == "__main__":
    main()
