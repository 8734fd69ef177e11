"""Tables of all results that a folder holds: Markdown for the docs, CSV for everyone else."""

from __future__ import annotations

from math import isnan
from pathlib import Path

import pandas as pd
from _methods import METHODS
from _results import Results
from scipy.stats import t

OURS = "ACTIVA"
KEY = ["dataset", "generator", "seed", "metric"]


def all_tables(out: Path) -> pd.DataFrame:
    """The judge's tables of all runs, a row for each dataset, generator, seed and metric; with the refit floor."""
    tables = []
    for folder in sorted(path for path in out.iterdir() if path.is_dir()):
        results = Results(out, folder.name)
        for _, seed, cost in sorted(results.runs(), key=lambda run: (list(METHODS).index(run[0]), run[1])):
            for name in cost["names"]:
                if not (file := results.scores_file(name, seed)).exists():
                    continue
                table = pd.read_csv(file, index_col="metric")
                refit = results.refit_scores_file(name, seed)
                table["refit"] = pd.read_csv(refit, index_col="metric")["value"] if refit.exists() else float("nan")
                place = {"dataset": folder.name, "generator": name, "seed": seed}
                tables.append(table.reset_index().assign(**place, train_seconds=cost["seconds"]["train"]))
    return pd.concat(tables).set_index(KEY) if tables else pd.DataFrame()


def show(value: float, of_size: float | None = None) -> str:
    """Three digits, more or less (five decimals at most), or as many decimals as a value of another size has."""
    if isnan(value):
        return "–"
    size = abs(value if of_size is None else of_size)
    digits = next((d for least, d in ((100, 0), (10, 1), (1, 2), (0.1, 3), (0.001, 4)) if size >= least), 5)
    return f"{value:.{digits if size else 0}f}"


def mean_and_sd(values: pd.Series) -> str:
    """Over seeds; the mean alone where there is one."""
    mean, sd = values.mean(), values.std()
    return show(mean) if isnan(sd) else f"{show(mean)} ± {show(sd, of_size=mean)}"


def reach(values: pd.Series) -> float:
    """Half of the width of the mean's 95% interval, by Student's t; NaN for one value."""
    return float(t.ppf(0.975, len(values) - 1) * values.sem()) if len(values) > 1 else float("nan")


def with_interval(rows: pd.DataFrame) -> str:
    """Mean over seeds, with the mean 95% interval of a seed."""
    means = rows[["value", "low", "high"]].mean()
    return f"{show(means['value'])} ({show(means['low'], means['value'])} to {show(means['high'], means['value'])})"


def summary(tables: pd.DataFrame) -> pd.DataFrame:
    """A row for each dataset and generator: what of the forest's figure is estimation, misfit and overfitting."""
    rows = {}
    for (dataset, name), of in tables.groupby(level=["dataset", "generator"], sort=False):
        forest, profile = (of.xs(metric, level="metric") for metric in ("rf_auc", "profile_auc"))
        overfitting = of[of.index.get_level_values("metric") == "overfitting"]
        rows[dataset, name] = {
            "seeds": str(len(forest)),
            "forest's AUC": with_interval(forest),
            "real cells": show(forest["floor"].mean()),
            "refit floor": show(forest["refit"].mean()),
            "misfit": show((forest["value"] - forest["refit"]).mean(), of_size=0.1),
            "overfitting": with_interval(overfitting) if len(overfitting) else "–",
            "cell profiles": with_interval(profile) if len(profile) else "–",
            "their refit floor": show(profile["refit"].mean()) if len(profile) else "–",
            "training, s": show(forest["train_seconds"].mean()),
        }
    index = pd.MultiIndex.from_tuples(rows, names=["dataset", "generator"])
    return pd.DataFrame(list(rows.values()), index=index).reset_index()


def metrics_table(tables: pd.DataFrame) -> pd.DataFrame:
    """A row for each metric of one dataset: real cells, their interval, then the generators; unlike real ones in bold."""
    ours = tables.xs(OURS, level="generator") if OURS in tables.index.get_level_values("generator") else tables
    floor = ours.groupby(level="metric", sort=False)[["floor", "floor_low", "floor_high"]].mean()
    shown = {"real cells": floor["floor"].map(show)}
    shown["95% of real cells"] = pd.Series(
        {m: f"{show(low, of)} to {show(high, of)}" for m, of, low, high in floor.itertuples()}
    )
    for name, of in tables.groupby(level="generator", sort=False):
        cells = {}
        for metric, rows in of.groupby(level="metric", sort=False):
            text = mean_and_sd(rows["value"])
            cells[metric] = f"**{text}**" if (rows["judgment"] == "unlike real").mean() > 0.5 else text
        shown[str(name)] = pd.Series(cells)
    return pd.DataFrame(shown).reindex(floor.index).fillna("–").rename_axis("metric")


def write(out: Path) -> None:
    """Write realism.md and realism.csv of all results."""
    tables = all_tables(out)
    if tables.empty:
        return
    sections = [summary(tables).to_markdown(index=False, disable_numparse=True)]
    for dataset, of in tables.groupby(level="dataset", sort=False):
        sections.append(f"## {dataset}\n\n{metrics_table(of).to_markdown(disable_numparse=True)}")
    (out / "realism.md").write_text("\n\n".join(sections) + "\n")
    tables.to_csv(out / "realism.csv")
    print(sections[0], flush=True)
