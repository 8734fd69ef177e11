"""Speed of training, and of generation, beside the paper's networks written plainly and beside scVI, in turn.

    python benchmarks/speed.py [--only step generation disk] [--rounds 3]

step        cells a second of the paper's introspective step, at 1,740 and 17,789 genes: ``_plain.py`` (float32, a pass a
            term, Adam as it comes) against ``ACTIVA.paper``, in float32 and in mixed precision, and in minibatches of 512
generation  cells a second of ``generate`` and of scVI's ``posterior_predictive_sample``, at 14,000 genes
disk        100,000 cells x 17,789 genes into zarr by a process that loads the model: seconds, and its largest resident set

Both sides have the same threads, memory allocator and cells. Writes ``results/speed.csv`` and ``speed.md``.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from _clock import Clock
from _made import N_TYPES, made_cells
from _plain import PlainACTIVA

from activa import ACTIVA
from activa.train import Hinge

GENES, STEPS = (1_740, 17_789), {1_740: 32, 17_789: 8}
GENERATION_GENES, DISK = 14_000, (100_000, 17_789)
MIXED = {"precision": "bf16-mixed"}
OURS = {"ours, float32": {}, "ours, mixed precision": MIXED, "ours, mixed, 512 cells": MIXED | {"batch_size": 512}}


def step_rounds(n_genes: int, n_rounds: int) -> list[dict]:
    """Cells a second of each form in each round, and the loss that its last epoch ends with."""
    adata = made_cells(128 * STEPS[n_genes], n_genes)
    x, y = (
        torch.from_numpy(adata.X.toarray()),
        torch.from_numpy(adata.obs["cell_type"].cat.codes.to_numpy(copy=True)).long(),
    )
    plain = PlainACTIVA(n_genes, N_TYPES)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    rows = []
    for round_ in range(-1, n_rounds):  # the first warms up
        start = time.perf_counter()
        for at in range(0, len(x), 128):
            losses = plain.step(x[at : at + 128], y[at : at + 128])
        found = {"plain": (len(x) / (time.perf_counter() - start), losses["L_AE"])}
        for name, kwargs in OURS.items():
            clock = Clock()
            model = ACTIVA.paper(adata)
            model.train(
                max_epochs=3,
                game=Hinge(margin=110, n_epochs_warmup=0),
                callbacks=[clock],
                enable_progress_bar=False,
                **kwargs,
            )
            last = float(model.history["reconstruction_loss_train"].iloc[-1, 0])
            # the first epoch sets up
            found[name] = (len(x) / np.mean(clock.seconds[1:]), last)
        rows += [
            {"what": f"step, {n_genes:,} genes", "round": round_, "form": name, "cells/s": speed, "L_AE": l_ae}
            for name, (speed, l_ae) in found.items()
            if round_ >= 0
        ]
    return rows


def generation_rounds(n_rounds: int) -> list[dict]:
    """Cells a second of both."""
    import scvi

    adata = made_cells(3_000, GENERATION_GENES)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    ours = ACTIVA(adata)
    ours.train(max_epochs=3, enable_progress_bar=False)
    scvi.model.SCVI.setup_anndata(adata)
    theirs = scvi.model.SCVI(adata)
    theirs.train(max_epochs=3, enable_progress_bar=False)
    rows = []
    for round_ in range(-1, n_rounds):
        start = time.perf_counter()
        theirs.posterior_predictive_sample(indices=np.arange(2_048))
        between = time.perf_counter()
        ours.generate(8_192, seed=0)
        speeds = {"plain": 2_048 / (between - start), "ours, float32": 8_192 / (time.perf_counter() - between)}
        rows += [
            {"what": f"generation, {GENERATION_GENES:,} genes (plain: scVI)", "round": round_, "form": k, "cells/s": v}
            for k, v in speeds.items()
            if round_ >= 0
        ]
    return rows


def to_disk(n_rounds: int) -> list[dict]:
    """Seconds to write cells, and peak memory."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        adata = made_cells(3_000, DISK[1], library=1_700.0)
        ACTIVA.setup_anndata(adata, labels_key="cell_type")
        model = ACTIVA(adata)
        model.train(max_epochs=3, enable_progress_bar=False)
        model.save(f"{folder}/model")
        for round_ in range(n_rounds):
            command = [sys.executable, "-W", "ignore", __file__, "--run", folder]
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            seconds, peak = map(float, output.split("RESULT ")[1].split())
            what = f"{DISK[0]:,} cells x {DISK[1]:,} genes to zarr"
            row = {"what": what, "round": round_, "form": "ours, float32", "cells/s": DISK[0] / seconds}
            rows.append(row | {"seconds": seconds, "peak, MiB": peak})
    return rows


def write_cells(folder: str) -> None:
    """What a process of :func:`to_disk` does."""
    model = ACTIVA.load(f"{folder}/model", adata=False)
    start = time.perf_counter()
    model.generate_zarr(f"{folder}/cells.zarr", DISK[0], seed=0, overwrite=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
    print(f"\nRESULT {time.perf_counter() - start} {peak}")


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Medians over rounds; ratios to the plain form are of the same round, with their smallest and largest."""
    rows = []
    for what, part in table.groupby("what", sort=False):
        speeds = part.pivot(index="round", columns="form", values="cells/s")
        for form in part["form"].unique():
            row = {"what": what, "form": form, "cells/s": speeds[form].median()}
            if "plain" in speeds and form != "plain":
                ratio = speeds[form] / speeds["plain"]
                row["ratio"] = f"{ratio.median():.2f} ({ratio.min():.2f} to {ratio.max():.2f})"
            # the plain form's weights are other ones
            for name in ("L_AE", "seconds", "peak, MiB"):
                if name in part and form != "plain":
                    row[name] = part.loc[part["form"] == form, name].median()
            rows.append(row)
    return pd.DataFrame(rows).dropna(axis=1, how="all").astype(object).fillna("")


def main() -> None:
    """Run the rounds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=["step", "generation", "disk"], default=["step", "generation", "disk"]
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        write_cells(args.run)
        return
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "speed.csv"
    parts = {
        "step": lambda: [row for n_genes in GENES for row in step_rounds(n_genes, args.rounds)],
        "generation": lambda: generation_rounds(args.rounds),
        "disk": lambda: to_disk(args.rounds),
    }
    for name in args.only:
        table = pd.DataFrame(parts[name]()).assign(part=name)
        if path.exists():
            others = pd.read_csv(path)
            table = pd.concat([others[others["part"] != name], table])
        table.to_csv(path, index=False)
        text = summary(table).to_markdown(index=False, floatfmt=",.0f")
        (args.out / "speed.md").write_text(text + "\n")
        print(text, flush=True)


if __name__ == "__main__":
    main()
