"""The page as a file: what it says is what the metrics found, and it brings all it needs."""

import base64
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts

import activa
from activa._report._per_type import per_type
from activa._report._verdict import verdict
from activa.data import Cells, read_cells
from activa.metrics import METRICS, evaluate, mmd
from activa.metrics._evaluate import compare


class Page(HTMLParser):
    """Tags with their attributes, and the text of each table's rows."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.cell = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = tag

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.cell = None

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1] += data


def test_the_table_is_that_of_evaluate(sets, made):
    path, table = made
    quick = ["mmd", "label_fidelity", "copy_ratio"]
    again = evaluate(sets["real"], sets["synthetic"], labels_key="cell_type", train=sets["train"], metrics=quick)
    pd.testing.assert_frame_equal(table.loc[quick], again)
    assert list(table.index) == list(METRICS)
    rows = Page(path.read_text()).rows
    for name, metric in METRICS.items():
        (row,) = [row for row in rows if row and row[0].startswith(metric.question + name)]
        assert float(row[1]) == pytest.approx(table.loc[name, "value"], abs=6e-4)
        assert float(row[2]) == pytest.approx(table.loc[name, "floor"], abs=6e-4)


def test_it_needs_nothing_from_elsewhere(made):
    text = made[0].read_text()
    page = Page(text)
    for _, attributes in page.tags:
        for name in ("src", "href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:")), attributes
    assert "@import" not in text and "url(" not in text
    assert made[0].stat().st_size < 5e6


def test_pictures_are_whole_and_described(made):
    pictures = [attributes for tag, attributes in Page(made[0].read_text()).tags if tag == "img"]
    assert len(pictures) == 10
    for picture in pictures:
        data = base64.b64decode(picture["src"].removeprefix("data:image/png;base64,"), validate=True)
        assert data.startswith(b"\x89PNG") and data.endswith(b"IEND\xaeB`\x82")
        assert len(picture["alt"]) > 30 and int(picture["width"]) > 300 and int(picture["height"]) > 150


def test_names_of_others_are_text(made):
    text = made[0].read_text()
    assert "<script>document.title" not in text
    assert text.count("&lt;script&gt;document.title") >= 3


def test_each_type_has_its_row(sets, made):
    rows = {row[0]: row[1:] for row in Page(made[0].read_text()).rows if row}
    for label, count in sets["real"].obs["cell_type"].value_counts().items():
        assert rows[label][:2] == [str(count), str((sets["synthetic"].obs["cell_type"] == label).sum())]


def test_types_are_judged_as_the_metrics_judge_them():
    adatas = {"real": make_counts(300, seed=1), "synthetic": make_counts(300, seed=2)}
    # so few NK that nothing can be told of them, and T of twice the counts
    rare = np.flatnonzero(adatas["synthetic"].obs["cell_type"] == "NK")[4:]
    adatas["synthetic"] = adatas["synthetic"][np.setdiff1d(np.arange(300), rare)].copy()
    of_t = (adatas["synthetic"].obs["cell_type"] == "T").to_numpy()
    adatas["synthetic"].X = adatas["synthetic"].X.multiply(np.where(of_t, 2, 1)[:, None]).tocsr()
    cells = read_cells(adatas, labels_key="cell_type", layer=None, normalized=False)
    comparisons = compare(cells, 0)
    table = per_type(cells["real"], cells["synthetic"], *comparisons)
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
    assert verdict(table_of(auc, floor), types, types, 500).grade == grade


def test_the_verdict_says_what_else_to_know():
    real, same = cells_of(["B"] * 50 + ["T"] * 50), cells_of(["B"] * 5 + ["T"] * 5)
    assert not [n for n in verdict(table_of(0.5), real, same, 500).notes if "copies of training" not in n]
    assert any("may be copies" in note for note in verdict(table_of(0.5, ratio=0.5), real, same, 500).notes)
    assert any("no proof of privacy" in note for note in verdict(table_of(0.5, ratio=1.0), real, same, 500).notes)
    other = verdict(table_of(0.5), real, cells_of(["B"] * 90 + ["NK"] * 10), 30).notes
    assert any("no synthetic cell has: T." in note for note in other)
    assert any("no real cell here has: NK." in note for note in other)
    assert any("proportions (T: 50.0% of the real and 0.0%" in note for note in other)
    assert any("Only 30 cells" in note for note in other)


def test_every_metric_is_a_question():
    questions = [metric.question for metric in METRICS.values()]
    assert all(len(question) > 15 for question in questions) and len(set(questions)) == len(questions)


def test_without_types_and_for_values_that_are_no_counts(sets, tmp_path):
    real, synthetic = (sets[name][:60].copy() for name in ("real", "synthetic"))
    for adata in (real, synthetic):
        adata.X = adata.X.multiply(1e4 / adata.X.sum(axis=1)).log1p().tocsr()
    table = activa.report(real, synthetic, tmp_path / "other.html", normalized=True)
    assert "label_fidelity" not in table.index and "dropout_distance" not in table.index
    page = Page((tmp_path / "other.html").read_text())
    assert not [attributes for tag, attributes in page.tags if attributes.get("id") == "types"]
    assert sum(tag == "img" for tag, _ in page.tags) == 4


def test_what_is_refused_is_refused_before_work(sets, made, tmp_path):
    before = made[0].read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        activa.report(sets["real"], sets["synthetic"], made[0])
    assert made[0].read_bytes() == before
    with pytest.raises(ValueError, match="must end with '.html'"):
        activa.report(sets["real"], sets["synthetic"], tmp_path / "report.pdf")
    with pytest.raises(FileNotFoundError, match="no report can be made"):
        activa.report(sets["real"], sets["synthetic"], tmp_path / "not" / "there.html")
    with pytest.raises(KeyError, match="labels_key 'type' is not in real.obs"):
        activa.report(sets["real"], sets["synthetic"], tmp_path / "report.html", labels_key="type")
    assert not list(tmp_path.iterdir())


def test_the_call_on_the_page_is_the_one_that_made_it(made):
    call = re.search(r"activa\.report\(.*\)", made[0].read_text()).group().replace("&#39;", "'").replace("&#34;", '"')
    assert call == "activa.report(real, synthetic, \"report.html\", labels_key='cell_type', train=train, seed=0)"
