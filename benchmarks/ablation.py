"""What each part of ACTIVA adds: one table of configurations, each trained on every dataset and seed.

    python benchmarks/ablation.py --data FILE [FILE ...] [--seeds 0 1 2] [--configurations NAME ...]

Splits and metrics are those of realism.py; generated cells have the types of the test set. Rows are kept in ablation.jsonl in
--out and are not computed again; use --redo after a change of the model. The table has all rows that --out holds, also those
of forms that have been removed from the package: they are in results/ as they were measured, by name.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from _data import split
from _judge import floor_scores, scores
from _mixture import generate_from_mixture
from _report import mean_and_sd

from activa import ACTIVA
from activa.train import ExplodedLossError, Game, Hinge, NonFiniteLossError, Soft

METRICS = [
    "rf_auc", "wasserstein", "correlation_discrepancy", "mmd_per_type", "dropout_distance", "label_fidelity",
    "membership_auc", "copy_ratio",
]  # fmt: skip
COLUMNS = [*METRICS, "held_out_elbo", "train_seconds"]
FLOOR = "real cells (floor)"


@dataclass(frozen=True)
class Configuration:
    """Settings of the model, arguments of train, and where latents are drawn from."""

    model: dict[str, Any] = field(default_factory=dict)
    game: Game | None = None
    max_epochs: int | None = None
    sampling: Literal["prior", "mixture"] = "prior"

    @property
    def training(self) -> str:
        """Configurations with equal training are trained once."""
        return repr((self.model, self.game, self.max_epochs))


def _plain_vae(game: Game | None = None) -> Configuration:
    """Hidden layers, N(0, I), and a random start, which takes more epochs."""
    return Configuration({"architecture": "deep", "n_hidden": 256}, game, max_epochs=80)


CONFIGURATIONS = {
    "default": Configuration(),
    "full-covariance mixture after training": Configuration(sampling="mixture"),
    "soft game, weight 0.1": Configuration(game=Soft(0.1)),
    "soft game, weight 0.3": Configuration(game=Soft(0.3)),
    "soft game, weight 1": Configuration(game=Soft(1.0)),
    "hinge game": Configuration(game=Hinge()),
    "negative binomial": Configuration({"gene_likelihood": "nb"}),
    "deep architecture": _plain_vae(),
    "deep architecture, soft game, weight 1": _plain_vae(Soft(1.0)),
}


class Rows:
    """Rows of known scores, in a file with one JSON object per line."""

    def __init__(self, file: Path, max_epochs: int | None):
        self.file, self.max_epochs = file, max_epochs
        self.rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def names(self) -> list[str]:
        """Real cells, the configurations, then those that no longer exist."""
        return list(dict.fromkeys([FLOOR, *CONFIGURATIONS, *(row["configuration"] for row in self.rows)]))

    def _is(self, row: dict, name: str, dataset: str, seed: int) -> bool:
        key = row["key"]
        found = row["configuration"], key["dataset"], key["seed"], key["max_epochs"]
        return found == (name, dataset, seed, self.max_epochs)

    def find(self, name: str, dataset: str, seed: int) -> dict | None:
        """The scores of a row; None if they are not known."""
        return next((row["scores"] for row in self.rows if self._is(row, name, dataset, seed)), None)

    def add(self, name: str, dataset: str, seed: int, scores: dict[str, float]) -> None:
        """Keep a row."""
        key = {"dataset": dataset, "seed": seed, "max_epochs": self.max_epochs}
        self.rows.append({"configuration": name, "key": key, "scores": scores})
        with self.file.open("a") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")

    def forget(self, name: str, dataset: str, seed: int) -> None:
        """Remove a row, to be computed again."""
        # another process may have added rows since
        rows = Rows(self.file, self.max_epochs).rows
        self.rows = [row for row in rows if not self._is(row, name, dataset, seed)]
        self.file.write_text("".join(json.dumps(row) + "\n" for row in self.rows))


def train(configuration: Configuration, parts: dict, labels_key: str, seed: int, max_epochs: int | None):
    """A trained model, its held-out ELBO and the seconds that training took."""
    ACTIVA.setup_anndata(parts["train"], labels_key=labels_key)
    start = time.perf_counter()
    model = ACTIVA(parts["train"], seed=seed, **configuration.model)
    max_epochs = configuration.max_epochs if max_epochs is None else max_epochs
    model.train(max_epochs, game=configuration.game, seed=seed, enable_progress_bar=False)
    seconds = time.perf_counter() - start
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        elbo = float(model.get_elbo(parts["test"].copy()))
    return model, {"held_out_elbo": elbo, "train_seconds": seconds}


def run_missing(args: argparse.Namespace, rows: Rows, path: Path, seed: int) -> None:
    """Compute the unknown rows of one dataset and seed."""
    missing = [name for name in [FLOOR, *args.configurations] if rows.find(name, path.stem, seed) is None]
    if not missing:
        return
    parts = split(path, args.labels_key, seed)
    if FLOOR in missing:
        rows.add(FLOOR, path.stem, seed, floor_scores(parts, args.labels_key, seed, METRICS))
        missing.remove(FLOOR)
    labels = parts["test"].obs[args.labels_key].to_numpy(dtype=str)
    trainings: dict[str, list[str]] = {}
    for name in missing:
        trainings.setdefault(CONFIGURATIONS[name].training, []).append(name)
    for names in trainings.values():
        print(path.stem, seed, *names, flush=True)
        try:
            model, training = train(CONFIGURATIONS[names[0]], parts, args.labels_key, seed, args.max_epochs)
        except (NonFiniteLossError, ExplodedLossError) as error:
            print("failed:", error, flush=True)
            continue
        for name in names:
            if CONFIGURATIONS[name].sampling == "mixture":
                synthetic = generate_from_mixture(model, parts["train"], args.labels_key, labels, seed)
            else:
                synthetic = model.generate(labels=list(labels), seed=seed)
            found = scores(parts, synthetic, args.labels_key, seed, METRICS)
            rows.add(name, path.stem, seed, found | training)


def write(rows: Rows, file: Path) -> None:
    """One table per dataset: configurations x metrics, mean and standard deviation over seeds."""
    sections = []
    seeds = sorted({row["key"]["seed"] for row in rows.rows})
    for dataset in sorted({row["key"]["dataset"] for row in rows.rows}):
        table = {}
        for name in rows.names:
            found = [scores for seed in seeds if (scores := rows.find(name, dataset, seed))]
            if found:
                table[name] = pd.DataFrame(found, columns=COLUMNS).apply(mean_and_sd).to_dict() | {
                    "seeds": str(len(found))
                }
        shown = pd.DataFrame.from_dict(table, orient="index").rename_axis("configuration")
        sections.append(f"## {dataset}\n\n{shown.to_markdown(disable_numparse=True)}\n")
    file.write_text("\n".join(sections))
    print("\n".join(sections))


def main() -> None:
    """Run what is missing and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="h5ad files of counts")
    parser.add_argument("--labels-key", default="cell_type", help="column of obs with the types")
    parser.add_argument("--configurations", nargs="*", choices=list(CONFIGURATIONS), default=list(CONFIGURATIONS))
    parser.add_argument("--redo", nargs="+", choices=list(CONFIGURATIONS), default=[], help="which to run again")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the split, training and draws")
    parser.add_argument("--max-epochs", type=int, help="for a quick try; the model's default otherwise")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder of the results")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / "ablation.jsonl"
    rows = Rows(file, args.max_epochs)
    for seed, path in product(args.seeds, args.data):
        for name in args.redo:
            rows.forget(name, path.stem, seed)
        run_missing(args, rows, path, seed)
    write(Rows(file, args.max_epochs), args.out / "ablation.md")


if __name__ == "__main__":
    main()
