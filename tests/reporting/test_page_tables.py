"""The tables of the page: which row is where, and which number is how."""

import re

import numpy as np
import pandas as pd
import pytest

from activa.metrics import METRICS
from activa.reporting.page_tables import gene_rows, gene_threshold, metric_rows, type_table_on_page


def make_table(**deviations):
    """A table of metrics whose values are as many standard errors from a floor of 1."""
    table = pd.DataFrame({"deviation": deviations}, dtype=float)
    table["value"], table["floor"] = 1 + table["deviation"] / 10, 1.0
    for name in ("value", "floor"):
        prefix = name.removeprefix("value") + "_" * (name == "floor")
        table[f"{prefix}low"], table[f"{prefix}high"] = table[name] - 0.2, table[name] + 0.2
    table["judgment"] = np.where(table["deviation"].abs() > 3, "unlike real", "as real")
    table.loc[table["deviation"].isna(), "judgment"] = "not computed"
    return table.assign(description="what it is")


def test_the_worst_metric_of_any_generator_comes_first_and_the_others_keep_their_order():
    one = make_table(rf_auc=1, mmd=5, mixing=-9, wasserstein=np.nan, tstr_f1=2.9)
    other = make_table(rf_auc=2, mmd=20, mixing=0, wasserstein=4, tstr_f1=0)
    rows = metric_rows({"one": one, "other": other})
    assert [row["name"] for row in rows] == ["mmd", "mixing", "wasserstein", "rf_auc", "tstr_f1"]
    judged = {row["name"]: [value["judgment"] for value in row["values"]] for row in rows}
    assert judged["wasserstein"] == ["not computed", "unlike real"] and judged["mixing"] == ["unlike real", "as real"]
    by_name = {row["name"]: row for row in rows}
    assert by_name["mmd"]["values"][0] == {
        "sort": "1.5",
        "text": "1.50",
        "interval": "1.30 to 1.70",
        "judgment": "unlike real",
    }
    assert by_name["mmd"]["floor"]["text"] == "1.00" and by_name["mmd"]["refit"] is None
    assert by_name["wasserstein"]["values"][0]["text"] == "–"
    assert all(row["question"] == METRICS[row["name"]].question for row in rows)
    refit = metric_rows({"one": one.assign(refit=0.5, refit_low=0.4, refit_high=0.6)})
    assert refit[0]["refit"]["text"] == "0.50"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.01234, "0.0123"),
        (0.512345, "0.512"),
        (-1e-5, "0.0000"),
        (3.14159, "3.14"),
        (26.134, "26.1"),
        (1234.5, "1234.5"),
    ],
)
def test_digits_are_as_many_as_the_figure_deserves(value, text):
    table = make_table(wasserstein=0).assign(value=value, floor=value / 2)
    assert metric_rows({"one": table})[0]["values"][0]["text"] == text


def make_types(**judgments):
    columns = ["real", "synthetic", "recognized", "recognized_real", "mmd", "mmd_floor", "library_size", "genes"]
    types = pd.DataFrame(
        0.5,
        index=list(judgments),
        columns=[*columns, "recognized_low", "recognized_high", "recognized_real_low", "recognized_real_high"],
    )
    types["judgment"] = list(judgments.values())
    return types


def test_types_that_are_unlike_real_ones_and_least_recognized_come_first():
    types = make_types(a="too few cells", b="as real", c="unlike real", d="unlike real", e="cannot tell", f="as real")
    types.loc[["d", "f"], "recognized"] = 0.1
    types.loc["a", "mmd"] = np.nan
    page = type_table_on_page(types)
    assert [row["type"] for row in page["rows"]] == ["d", "c", "f", "b", "e", "a"]
    assert [row["rank"] for row in page["rows"]] == [4, 4, 3, 3, 2, 1]
    assert page["n_unlike"] == 2
    first, last = page["rows"][0]["values"], page["rows"][-1]["values"]
    assert len(first) == len(page["headings"]) == 8
    assert first[2] == {"sort": "0.1", "text": "10%", "interval": "50% to 50%"} and last[4]["text"] == "–"
    assert len(type_table_on_page(types.assign(library_size=np.nan))["headings"]) == 7


def test_genes_of_real_cells_are_rarely_marked():
    rng = np.random.default_rng(0)
    n_genes = 200
    worst = np.abs(rng.normal(size=(4000, 2 * n_genes))).max(axis=1)
    assert (worst > gene_threshold(n_genes)).mean() == pytest.approx(0.05, abs=0.02)
    columns = ["mean_real", "mean_synthetic", "zeros_real", "zeros_synthetic"]
    table = pd.DataFrame(0.5, index=[f"gene {i}" for i in range(12)], columns=columns).assign(
        deviation=np.arange(12)[::-1] / 2
    )
    rows = gene_rows(table)
    assert [row["gene"] for row in rows] == [f"gene {i}" for i in range(10)]
    assert [row["unlike"] for row in rows] == [float(row["deviation"]) > gene_threshold(12) for row in rows]
    assert re.fullmatch(r"\d\.\d\d", rows[0]["mean_real"]) and rows[0]["zeros_real"] == "50%"
