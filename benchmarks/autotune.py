"""A search by Ray Tune for the settings whose cells are most realistic, and what it gains on cells never seen.

    python benchmarks/autotune.py [--data FILE --labels-key cell_type] [--trials 8] [--epochs 20]

Each trial trains on 80% of the training cells and is judged once, at its end, by ``realism_validation`` on the others. The
best settings and the defaults are then trained on all training cells and compared on a third of the cells, held out
of it all. Needs the ``autotune`` extra. Without --data it takes the bundled cells.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
from ray import tune
from scvi.autotune import run_autotune
from sklearn.model_selection import train_test_split

import activa
from activa import ACTIVA
from activa.metrics import evaluate

METRIC = "realism_validation"


def search(train: ad.AnnData, args: argparse.Namespace) -> tuple[dict[str, Any], pd.DataFrame]:
    """The best settings, as arguments of the model and of train(), and a row for each trial."""
    space = {
        "model_params": {"n_latent": tune.choice([4, 8, 16, 32])},
        "train_params": {
            "max_epochs": args.epochs,
            "train_size": 0.8,
            "realism": "wasserstein",
            "check_val_every_n_epoch": args.epochs,
            "plan_kwargs": {"lr": tune.loguniform(3e-4, 3e-2)},
        },
    }
    with tempfile.TemporaryDirectory() as logging_dir:
        experiment = run_autotune(
            ACTIVA, train, metrics=METRIC, mode="min", search_space=space, num_samples=args.trials, scheduler="fifo",
            seed=args.seed, resources={"cpu": 1}, logging_dir=logging_dir,
        )  # fmt: skip
        best = experiment.result_grid.get_best_result(METRIC, "min")
        table = experiment.result_grid.get_dataframe()
    names = {
        "config/model_params/n_latent": "n_latent",
        "config/train_params/plan_kwargs/lr": "lr",
        "time_total_s": "seconds",
        METRIC: METRIC,
    }
    chosen = {"model": best.config["model_params"], "plan": best.config["train_params"]["plan_kwargs"]}
    return chosen, table[list(names)].rename(columns=names).sort_values(METRIC)


def main() -> None:
    """Search, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--labels-key", default="cell_type")
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results", help="folder to write to")
    args = parser.parse_args()
    adata = activa.datasets.pbmc68k_reduced() if args.data is None else ad.read_h5ad(args.data)
    key = args.labels_key
    cells = train_test_split(range(adata.n_obs), test_size=1 / 3, random_state=args.seed, stratify=adata.obs[key])
    train, test = (adata[sorted(part)].copy() for part in cells)
    ACTIVA.setup_anndata(train, labels_key=key)
    best, trials = search(train, args)
    print(trials.to_string(index=False), f"\nbest: {best}\n", flush=True)

    scores = {}
    for name, settings in {"defaults": {"model": {}, "plan": {}}, "best": best}.items():
        model = ACTIVA(train, **settings["model"])
        model.train(max_epochs=args.epochs, plan_kwargs=settings["plan"], enable_progress_bar=False)
        made = model.generate(labels=test.obs[key].value_counts(), seed=0)
        table = evaluate(test, made, labels_key=key, train=train, metrics=["mmd", "rf_auc", "wasserstein"])
        scores |= {name: table["value"], "real cells (floor)": table["floor"]}
    found = pd.DataFrame(scores).round(4)
    print(found.to_string())
    args.out.mkdir(parents=True, exist_ok=True)
    tables = [trials.round(4).to_markdown(index=False), found.reset_index().to_markdown(index=False)]
    (args.out / "autotune.md").write_text("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
