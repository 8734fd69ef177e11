"""Where the time of a training step goes, beside the least that its arithmetic and its bytes would take.

    python benchmarks/step_profile.py [--genes 2000 5000 18000] [--name after]

Milliseconds a step of 128 made cells, of the default model and of the paper's (in the game), by part. "data" is what passes
between two steps; "backward" holds the gradients of all parts but those that the kernel of the likelihood computes with it. The
floors: floating-point operations that PyTorch counts over the speed of a large float32 product; and bytes that Adam and the
gradients move at least (32 a weight), over the speed of a copy. Both speeds are measured in the same run. ``--name`` tells
runs apart, as before and after a change.
Writes ``results/step_profile.csv`` and ``step_profile.md``.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import torch
from _made import made_cells
from lightning.pytorch.callbacks import Callback
from torch.utils.flop_counter import FlopCounterMode

import activa.module.activa_module as module_file
import activa.train.game as game_file
from activa import ACTIVA
from activa.module import ACTIVAModule
from activa.module.fused import Decoded
from activa.module.networks import Generator
from activa.train import Hinge, IntrospectivePlan

BATCH, STEPS = 128, 10


class Parts(Callback):
    """Seconds by part, from the second epoch on: the first sets up."""

    def __init__(self):
        self.seconds: dict[str, float] = defaultdict(float)
        self.steps, self.counting, self.ended = 0, False, 0.0

    def timed(self, part: str, function):
        """The function, its time added to the part's."""

        @wraps(function)
        def call(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                if self.counting:
                    self.seconds[part] += time.perf_counter() - start

        return call

    def on_train_epoch_start(self, trainer, *_) -> None:
        """Count from the second epoch on."""
        self.counting, self.ended = trainer.current_epoch > 0, time.perf_counter()

    def on_train_batch_start(self, *_) -> None:
        """A step begins."""
        self.start = time.perf_counter()
        if self.counting:
            self.seconds["data"] += self.start - self.ended

    def on_train_batch_end(self, *_) -> None:
        """A step ends."""
        self.ended = time.perf_counter()
        if self.counting:
            self.steps += 1
            self.seconds["step"] += self.ended - self.start


def profile(n_genes: int, configuration: str) -> dict[str, float]:
    """Milliseconds a step by part, and the step's floating-point operations and weights."""
    adata = made_cells(BATCH * STEPS, n_genes)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA.paper(adata) if configuration == "paper" else ACTIVA(adata)
    game = Hinge(margin=110, n_epochs_warmup=0) if configuration == "paper" else None
    parts = Parts()
    settings = {"game": game, "enable_progress_bar": False}
    with ExitStack() as stack:
        for owner, name, part in (
            (ACTIVAModule, "encode", "encoder"),
            (Generator, "output", "generator"),
            (ACTIVAModule, "classify", "classifier"),
            (Decoded, "log_likelihood", "likelihood"),
            (module_file, "log_likelihood", "likelihood"),
            (game_file, "log_likelihood", "likelihood"),
            (IntrospectivePlan, "manual_backward", "backward"),
            (IntrospectivePlan, "compute_and_log_metrics", "logging"),
            (torch.optim.Adam, "step", "optimizer"),
        ):
            stack.enter_context(patch.object(owner, name, parts.timed(part, getattr(owner, name))))
        model.train(max_epochs=4, callbacks=[parts], **settings)
    counter = FlopCounterMode(display=False)
    with counter:
        model.train(max_epochs=1, **settings)
    found = {part: 1e3 * seconds / parts.steps for part, seconds in parts.seconds.items()}
    found["other"] = 2 * found["step"] - sum(found.values()) + found["data"]
    found["all"] = found.pop("step") + found["data"]
    weights = sum(p.numel() for p in model.module.parameters())
    return found | {"flop": counter.get_total_flops() / STEPS, "weights": weights}


def speeds() -> tuple[float, float]:
    """Floating-point operations and bytes a second."""
    a, target = torch.randn(2_048, 2_048), torch.empty(2**26)
    source = torch.randn(2**26)
    best = []
    for function in (lambda: a @ a, lambda: target.copy_(source)):
        times = []
        for _ in range(8):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        best.append(min(times))
    return 2 * 2_048**3 / best[0], 8 * 2**26 / best[1]


def main() -> None:
    """Profile each and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--genes", type=int, nargs="+", default=[2_000, 5_000, 18_000])
    parser.add_argument("--name", default="now", help="what the rows are called; others in the file are kept")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    args = parser.parse_args()
    rows = []
    for configuration in ("default", "paper"):
        for n_genes in args.genes:
            found = profile(n_genes, configuration)
            flops, bandwidth = speeds()
            floors = {
                "arithmetic": 1e3 * found.pop("flop") / flops,
                "bytes": 1e3 * 32 * found.pop("weights") / bandwidth,
            }
            rows.append({"run": args.name, "model": configuration, "genes": n_genes} | found | floors)
    table = pd.DataFrame(rows).fillna(0.0)
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "step_profile.csv"
    if path.exists():
        others = pd.read_csv(path)
        table = pd.concat([others[others["run"] != args.name], table], ignore_index=True)
    table = table.sort_values(["model", "genes"], kind="stable")
    table.round(2).to_csv(path, index=False)
    text = table.round(1).to_markdown(index=False)
    (args.out / "step_profile.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
