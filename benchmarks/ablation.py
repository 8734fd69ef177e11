"""What each part of ACTIVA adds: one table of configurations, each trained on every dataset and seed.

    python benchmarks/ablation.py --data FILE [FILE ...] [--seeds 0 1 2] [--configurations NAME ...]

Splits and metrics are those of realism.py; types are given as in the test set. Rows are kept in ablation.jsonl in --out
and not computed again while a configuration's settings stay; after a change of the model use --redo. The table has all
rows of the configurations below that --out holds.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
from _data import split
from _judge import Judge
from _mixture import generate_from_mixture
from _report import mean_and_sd

from activa import ACTIVA
from activa.train import NonFiniteLossError

METRICS = [
    "rf_auc", "wasserstein", "correlation_discrepancy", "mmd_per_type", "dropout_distance", "label_fidelity",
    "membership_auc", "copy_ratio",
]  # fmt: skip
COLUMNS = [*METRICS, "held_out_elbo", "train_seconds"]
FLOOR = "real cells (floor)"


@dataclass(frozen=True)
class Configuration:
    """Arguments of the model, of its training plan and of train, and where latents are drawn from."""

    model: dict[str, Any] = field(default_factory=dict)
    plan: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    sampling: Literal["prior", "mixture"] = "prior"

    @property
    def training(self) -> str:
        """Configurations that are equal in this share a training."""
        return json.dumps([self.model, self.plan, self.train], sort_keys=True)


def _introspective(introspection: str, weight: float, **plan: Any) -> Configuration:
    return Configuration(plan={"introspection": introspection, "introspection_weight": weight, **plan})


def _plain_vae(**plan: Any) -> Configuration:
    """The paper's form: hidden layers, N(0, I), and a random start, which takes more epochs."""
    model = {"generator": "deep", "n_hidden": 256, "prior": "standard", "label_input": "given"}
    return Configuration(model, plan, {"max_epochs": 80})


CONFIGURATIONS = {
    "default": Configuration(),
    "full-covariance mixture after training": Configuration(sampling="mixture"),
    "prior as learnt": Configuration(train={"fit_prior": False}),
    # the type reaches cells through the generator alone
    "N(0, I) prior": Configuration({"prior": "standard", "label_input": "given"}),
    "type given to the generator": Configuration({"label_input": "given"}),
    "no type in the generator": Configuration({"label_input": "none"}),
    "sleep phase, weight 0.3": _introspective("sleep", 0.3),
    "sleep phase, weight 1": _introspective("sleep", 1.0),
    "soft game, weight 0.1": _introspective("soft", 0.1),
    "soft game, weight 0.3": _introspective("soft", 0.3),
    "hinge game, weight 1": _introspective("hinge", 1.0),
    "soft game, weight 0.3, prior as learnt": Configuration(
        plan={"introspection": "soft", "introspection_weight": 0.3}, train={"fit_prior": False}
    ),
    "soft game, weight 0.3, and classifier term": _introspective("soft", 0.3, classifier_weight=1.0),
    "linear generator": Configuration({"generator": "linear"}),
    "deep generator": Configuration({"generator": "deep", "n_hidden": 256}),
    "negative binomial": Configuration({"gene_likelihood": "nb"}),
    "Poisson": Configuration({"gene_likelihood": "poisson"}),
    "dispersion per type": Configuration({"dispersion": "gene-label"}),
    "plain VAE": _plain_vae(),
    "plain VAE, soft game, weight 1": _plain_vae(introspection="soft", introspection_weight=1.0),
}


class Rows:
    """The rows that are known, in a file of a JSON object a line."""

    def __init__(self, file: Path, max_epochs: int | None):
        self.file, self.max_epochs = file, max_epochs
        self.rows = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def key(self, name: str, dataset: str, seed: int) -> dict:
        """What decides a row's scores; real cells have no settings."""
        settings = asdict(CONFIGURATIONS[name]) if name in CONFIGURATIONS else None
        key = {"dataset": dataset, "seed": seed, "max_epochs": self.max_epochs, "settings": settings}
        return json.loads(json.dumps(key))

    def find(self, name: str, dataset: str, seed: int) -> dict | None:
        """The scores of a row, None if it is not there."""
        key = self.key(name, dataset, seed)
        return next((row["scores"] for row in self.rows if row["key"] == key), None)

    def add(self, name: str, dataset: str, seed: int, scores: dict[str, float]) -> None:
        """Keep a row."""
        self.rows.append({"configuration": name, "key": self.key(name, dataset, seed), "scores": scores})
        with self.file.open("a") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")

    def forget(self, name: str, dataset: str, seed: int) -> None:
        """Drop a row, to be computed again."""
        key = self.key(name, dataset, seed)
        # another process may have added some since
        self.rows = [row for row in Rows(self.file, self.max_epochs).rows if row["key"] != key]
        self.file.write_text("".join(json.dumps(row) + "\n" for row in self.rows))


def train(configuration: Configuration, parts: dict, labels_key: str, seed: int, max_epochs: int | None):
    """A trained model, and what it takes and reaches in training."""
    ACTIVA.setup_anndata(parts["train"], labels_key=labels_key)
    start = time.perf_counter()
    model = ACTIVA(parts["train"], seed=seed, **configuration.model)
    settings = configuration.train if max_epochs is None else configuration.train | {"max_epochs": max_epochs}
    model.train(seed=seed, plan_kwargs=configuration.plan, enable_progress_bar=False, **settings)
    seconds = time.perf_counter() - start
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        elbo = float(model.get_elbo(parts["test"].copy()))
    return model, {"held_out_elbo": elbo, "train_seconds": seconds}


def run_missing(args: argparse.Namespace, rows: Rows, path: Path, seed: int) -> None:
    """Compute the rows of one dataset and seed that are not there."""
    missing = [name for name in [FLOOR, *args.configurations] if rows.find(name, path.stem, seed) is None]
    if not missing:
        return
    parts = split(path, args.labels_key, seed)
    judge = Judge(parts, args.labels_key, seed)
    if FLOOR in missing:
        rows.add(FLOOR, path.stem, seed, judge.score(judge.floor, METRICS))
        missing.remove(FLOOR)
    labels = parts["test"].obs[args.labels_key].to_numpy(dtype=str)
    trainings: dict[str, list[str]] = {}
    for name in missing:
        trainings.setdefault(CONFIGURATIONS[name].training, []).append(name)
    for names in trainings.values():
        print(path.stem, seed, *names, flush=True)
        try:
            model, training = train(CONFIGURATIONS[names[0]], parts, args.labels_key, seed, args.max_epochs)
        except NonFiniteLossError as error:
            print("failed:", error, flush=True)
            continue
        for name in names:
            if CONFIGURATIONS[name].sampling == "mixture":
                synthetic = generate_from_mixture(model, parts["train"], args.labels_key, labels, seed)
            else:
                synthetic = model.generate(labels=list(labels), seed=seed)
            rows.add(name, path.stem, seed, judge.score(judge.read(synthetic), METRICS) | training)


def write(rows: Rows, file: Path) -> None:
    """A table a dataset: configurations x metrics, mean and standard deviation over seeds."""
    sections = []
    seeds = sorted({row["key"]["seed"] for row in rows.rows})
    for dataset in sorted({row["key"]["dataset"] for row in rows.rows}):
        table = {}
        for name in [FLOOR, *CONFIGURATIONS]:
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
