"""Tables of all results that a folder holds: Markdown for the docs, CSV for everyone else."""

from __future__ import annotations

from math import isfinite, isnan
from pathlib import Path

import numpy as np
import pandas as pd
from _bounds import BOUNDS, Figures
from _judge import NAMES
from _methods import METHODS
from _results import REAL, Results

OURS, SCVI = "ACTIVA", "scVI, posterior"
COSTS = ["train_seconds", "generate_seconds", "peak_gb"]


def all_scores(results: Results) -> pd.DataFrame:
    """Every metric and cost, a row for each generator (or real cells) and seed."""
    rows = {}
    for _, seed, cost in sorted(results.runs(), key=lambda run: (list(METHODS).index(run[0]), run[1])):
        seconds = {f"{phase}_seconds": cost["seconds"][phase] for phase in ("train", "generate")}
        for name in cost["names"]:
            rows[name, seed] = results.scores(name, seed) | seconds | {"peak_gb": cost["peak_gb"]}
    rows |= {(REAL, seed): results.scores(REAL, seed) for seed in results.real_seeds()}
    index = pd.MultiIndex.from_tuples(rows, names=["generator", "seed"])
    return pd.DataFrame(list(rows.values()), index=index, columns=[*NAMES, *COSTS])


def figures(dataset: str, scores: pd.DataFrame) -> Figures:
    """What the bounds look at."""
    generators = scores.index.unique("generator")
    nothing = pd.Series(np.nan, scores.columns)
    real = scores.loc[REAL]
    same_seeds = (
        scores.loc[OURS].index if OURS in generators else scores.drop(REAL, level="generator").index.unique("seed")
    )
    return Figures(
        dataset,
        ours=scores.loc[OURS].mean() if OURS in generators else nothing,
        floor=real.loc[real.index.intersection(same_seeds)].mean(),
        real=real.mean(),
        low=real.quantile(0.025),
        high=real.quantile(0.975),
        scvi=scores.loc[SCVI].mean() if SCVI in generators else nothing,
    )


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


def metrics_table(scores: pd.DataFrame, f: Figures) -> pd.DataFrame:
    """A row a metric: real cells, their interval over splits, then the generators."""
    table = {"real cells": f.floor.map(show)}
    table["95% of splits"] = pd.Series(
        {m: "–" if isnan(f.low[m]) else f"{show(f.low[m])} to {show(f.high[m])}" for m in f.low.index}
    )
    for name in scores.index.unique("generator").drop(REAL):
        table[name] = scores.loc[name].apply(mean_and_sd)
    return pd.DataFrame(table).rename_axis("metric")


def bounds_table(f: Figures) -> pd.DataFrame:
    """A row a bound: the figure, between what it must lie, and whether it does."""
    verdicts = {name: bound(f) for name, bound in BOUNDS.items()}
    rows = [(v.figure, v.at_least, v.at_most, v.met) for v in verdicts.values()]
    return pd.DataFrame(rows, index=pd.Index(verdicts, name="bound"), columns=[OURS, "at_least", "at_most", "met"])


def _limits(low: float, high: float) -> str:
    if isfinite(low) and isfinite(high):
        return f"{show(low)} to {show(high)}"
    if isfinite(high):
        return f"≤ {show(high)}"
    return f"≥ {show(low)}" if isfinite(low) else "–"


def _shown(bounds: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            OURS: bounds[OURS].map(show),
            "limit": [_limits(low, high) for low, high in zip(bounds["at_least"], bounds["at_most"], strict=True)],
            "met": bounds["met"].map({True: "yes", False: "**no**"}).fillna("–"),
        }
    )


def write(out: Path) -> None:
    """Write realism.md, realism.csv and bounds.csv of every dataset there are results of."""
    sections, scores_of, bounds_of = [], {}, {}
    for folder in sorted(path for path in out.iterdir() if path.is_dir()):
        scores = all_scores(Results(out, folder.name))
        if REAL not in scores.index:
            continue
        f = figures(folder.name, scores)
        scores_of[folder.name], bounds_of[folder.name] = scores, bounds_table(f)
        section = f"## {folder.name}\n\n{metrics_table(scores, f).to_markdown(disable_numparse=True)}\n"
        if not f.ours.isna().all():
            section += f"\n{_shown(bounds_of[folder.name]).to_markdown(disable_numparse=True)}\n"
        sections.append(section)
        print(section, flush=True)
    if not sections:
        return
    (out / "realism.md").write_text("\n".join(sections))
    pd.concat(scores_of, names=["dataset"]).to_csv(out / "realism.csv")
    pd.concat(bounds_of, names=["dataset"]).to_csv(out / "bounds.csv")
