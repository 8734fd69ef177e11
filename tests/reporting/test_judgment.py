import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts

from activa.data import Cells, read_cells
from activa.metrics import mmd
from activa.metrics.space import compare
from activa.reporting.judgment import judge, judge_types


def test_types_are_judged_as_the_metrics_judge_them():
    adatas = {"real": make_counts(300, seed=1), "synthetic": make_counts(300, seed=2)}
    # so few NK that nothing can be told of them, and T of twice the counts
    rare = np.flatnonzero(adatas["synthetic"].obs["cell_type"] == "NK")[4:]
    adatas["synthetic"] = adatas["synthetic"][np.setdiff1d(np.arange(300), rare)].copy()
    of_t = (adatas["synthetic"].obs["cell_type"] == "T").to_numpy()
    adatas["synthetic"].X = adatas["synthetic"].X.multiply(np.where(of_t, 2, 1)[:, None]).tocsr()
    cells = read_cells(adatas, labels_key="cell_type", layer=None, normalized=False)
    comparisons = compare(cells, 0)
    table = judge_types(cells["real"], cells["synthetic"], *comparisons)
    assert list(table.index) == ["B", "NK", "T"]
    assert table.loc["NK", ["mmd", "recognized", "library_size", "genes"]].isna().all()
    totals = [np.asarray(c.counts.sum(axis=1)).ravel()[c.types == "T"] for c in (cells["real"], cells["synthetic"])]
    assert table.loc["T", "library_size"] == pytest.approx(np.median(totals[1]) / np.median(totals[0]))
    x, y = comparisons[0].components
    of_b = [x[comparisons[0].real.types == "B"], y[comparisons[0].synthetic.types == "B"]]
    assert table.loc["B", "mmd"] == mmd(*of_b, seed=0)
    sizes = {label: (comparisons[0].synthetic.types == label).sum() for label in ("B", "T")}
    assert all(0.5 < table.loc[label, "recognized"] <= 1 for label in sizes)


def cells_of(types):
    return Cells(None, None, np.asarray(types))


def table_of(auc, floor=0.5, ratio=None):
    table = pd.DataFrame({"value": [auc], "floor": [floor]}, index=["rf_auc"])
    if ratio is not None:
        table.loc["copy_ratio"] = [ratio, 1.0]
    return table


@pytest.mark.parametrize(
    ("auc", "floor", "grade"),
    [
        (0.42, 0.47, "as real"),
        (0.52, 0.5, "as real"),
        (0.57, 0.48, "close"),
        (0.57, 0.56, "as real"),
        (0.7, 0.5, "different"),
        (0.9, 0.5, "far"),
        (1.0, 0.45, "far"),
        (float("nan"), float("nan"), "unknown"),
    ],
)
def test_the_verdict_goes_by_the_forest_and_its_floor(auc, floor, grade):
    types = cells_of(["B", "T"])
    assert judge(table_of(auc, floor), types, types, 500).grade == grade


def test_the_verdict_says_what_else_to_know():
    real, same = cells_of(["B"] * 50 + ["T"] * 50), cells_of(["B"] * 5 + ["T"] * 5)
    assert not [n for n in judge(table_of(0.5), real, same, 500).notes if "copies of training" not in n]
    assert any("may be copies" in note for note in judge(table_of(0.5, ratio=0.5), real, same, 500).notes)
    assert any("no proof of privacy" in note for note in judge(table_of(0.5, ratio=1.0), real, same, 500).notes)
    other = judge(table_of(0.5), real, cells_of(["B"] * 90 + ["NK"] * 10), 30).notes
    assert any("without synthetic cells: T." in note for note in other)
    assert any("without real cells: NK." in note for note in other)
    assert any("proportions (T: 50.0% of the real and 0.0%" in note for note in other)
    assert any("Only 30 cells" in note for note in other)
