"""The report: each experiment's summary and figures beside the paper's numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from activa import pl
from activa.experiments import augmentation_gain


@dataclass(frozen=True)
class Section:
    """What the report says of an experiment."""

    title: str
    paper: str
    """The paper's figures."""
    summary: Callable[[pd.DataFrame], pd.DataFrame]
    figures: Callable[[pd.DataFrame], dict[str, Figure]] = lambda table: {}


def _areas(table: pd.DataFrame) -> pd.DataFrame:
    areas = table.drop_duplicates(["set", "fold"]).groupby("set", sort=False)["auc"]
    return areas.agg(["mean", "std"]).add_prefix("AUC, ").reset_index()


def _discrepancies(table: pd.DataFrame) -> pd.DataFrame:
    return table.groupby("set", sort=False)["discrepancy"].first().drop("real").reset_index()


def _medians(table: pd.DataFrame) -> pd.DataFrame:
    medians = table.groupby(["type", "gene", "set"], sort=False)["expression"].median()
    return medians.unstack("set").add_prefix("median, ").reset_index()


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    return table.groupby("set", sort=False).size().rename("cells").reset_index()


def _dropout(table: pd.DataFrame) -> pd.DataFrame:
    return table.groupby("set", sort=False).agg(genes=("mean", "size"), dropout=("dropout", "mean")).reset_index()


def _states(table: pd.DataFrame) -> pd.DataFrame:
    same = 1 - table.groupby(["type", "set"], sort=False)["differential"].mean().unstack("set")
    same.loc["mean"] = same.mean()
    return same.add_prefix("no differential state, ").reset_index()


def _gains(table: pd.DataFrame) -> pd.DataFrame:
    f1 = table.groupby(["kept", "method"], sort=False)["f1"].mean().unstack("method")
    return f1.add_prefix("F1, ").reset_index()


def _manifolds(table: pd.DataFrame) -> dict[str, Figure]:
    rarest = table.loc[table["set"] == "real", "type"].value_counts().index[-1]
    return {
        "manifold": pl.manifold(table, return_fig=True),
        "manifold-marker": pl.manifold(table, color=table.columns[-1], return_fig=True),
        "manifold-rare": pl.manifold(table, basis="tSNE", highlight=rarest, return_fig=True),
    }


def _one(name: str) -> Callable[[pd.DataFrame], dict[str, Figure]]:
    return lambda table: {name: getattr(pl, name)(table, return_fig=True)}


EXPERIMENTS: dict[str, Section] = {
    "training": Section(
        "Time to train",
        "26,026 s on 68K PBMC, 8,075 s on Brain Small, 29,549 s on NeuroCOVID, on one V100.",
        lambda table: table,
    ),
    "rf_detection": Section(
        "Detection by a random forest",
        "AUC 0.68 on 68K PBMC (scGAN 0.73), 0.62 on Brain Small (0.74).",
        _areas,
        _one("rf_detection"),
    ),
    "correlation_discrepancy": Section(
        "Correlation discrepancy of marker genes, 1-norm",
        "1.58 on 68K PBMC (scGAN 2.20), 4.69 on Brain Small (5.59), 4.19 on NeuroCOVID (7.31).",
        _discrepancies,
        _one("correlation_discrepancy"),
    ),
    "marker_expression": Section("Marker genes", "Figures S11 and S12.", _medians, _one("marker_expression")),
    "manifold": Section("Manifold", "Figures S13 and S14.", _cells, _manifolds),
    "dropout_curve": Section("Dropout", "Figure S9.", _dropout, _one("dropout_curve")),
    "differential_state": Section(
        "Differential state: share of genes without any",
        "Figure S10; 100% is best.",
        _states,
        _one("differential_state"),
    ),
    "classifier_report": Section(
        "The classifier",
        "Accuracy, macro and weighted F1 on test cells: 0.922, 0.745, 0.922 on 68K PBMC; 0.965, 0.967, 0.965 on Brain Small; "
        "0.979, 0.970, 0.979 on NeuroCOVID (tables S5 to S7).",
        lambda table: table,
        _one("classifier_report"),
    ),
    "generation": Section(
        "Time to generate", "100,000 cells: under 2 s on a V100, 87 s on a laptop.", lambda table: table
    ),
    "augmentation": Section(
        "Augmentation of a type made rare",
        "F1 from 0.47 to 0.93 with 0.5% of the type's cells kept, from 0.68 to 0.94 with 1%; no controls.",
        _gains,
        _one("augmentation"),
    ),
    "scaling": Section(
        "Scaling, random matrices with 30% non-zero",
        "33,061 s for 100,000 cells, 61,206 s for 200,000, 127,750 s for 500,000.",
        lambda table: table,
        _one("scaling"),
    ),
}


def _markdown(table: pd.DataFrame) -> str:
    rounded = table.round(3).astype(object)
    return rounded.where(rounded.notna(), None).to_markdown(index=False, missingval="–")


def write(folder: Path, names: list[str], table: Callable[[str], pd.DataFrame]) -> None:
    """Write the figures, report.md with all experiments of these names, and tables.md, the same without figures."""
    report, tables = [f"# The paper's experiments on {folder.name}", ""], []
    for name in names:
        section, rows = EXPERIMENTS[name], table(name)
        lines = [f"## {section.title}", "", f"In the paper: {section.paper}", ""]
        lines += [_markdown(section.summary(rows)), ""]
        if name == "augmentation":
            gains = augmentation_gain(rows)
            gains["kept"] = gains["kept"].astype("string").fillna("all")
            lines += ["Gain in F1, with 95% intervals:", "", _markdown(gains), ""]
        tables += lines
        report += lines
        for figure_name, figure in section.figures(rows).items():
            figure.savefig(folder / f"{figure_name}.png", dpi=110)
            report += [f"![{section.title}]({figure_name}.png)", ""]
    (folder / "report.md").write_text("\n".join(report))
    (folder / "tables.md").write_text("\n".join(tables))
