"""The page as a file: what it says is what the metrics found, and it brings all it needs."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests_helpers import make_counts

import activa
from activa.metrics import METRICS, evaluate
from activa.pl import embeddings
from activa.pl.embeddings import umap_coordinates


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
        elif tag in ("small", "span", "code") and self.cell:
            self.rows[-1][-1] += "|"

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
    found = rows_of_metrics(path)
    unlike = table.index[table["judgment"] == "unlike real"]
    assert set(list(found)[: len(unlike)]) == set(unlike)
    for name, (value, floor) in found.items():
        for text, column, ends in ((value, "value", ("low", "high")), (floor, "floor", ("floor_low", "floor_high"))):
            figure, interval, *mark = text.split("|")
            shown = [float(figure), *map(float, interval.split(" to "))]
            assert shown == pytest.approx(table.loc[name, [column, *ends]].to_list(), rel=0.06, abs=6e-3)
            assert mark == ["unlike real"] * (name in unlike and column == "value")


def rows_of_metrics(path):
    """Texts of the figures of each metric, in the order of the page."""
    found = {}
    for row in Page(path.read_text()).rows:
        for name, metric in METRICS.items():
            if row and row[0].startswith(f"{metric.question}||{name} "):
                found[name] = row[1:]
    assert set(found) <= set(METRICS)
    return found


def test_several_generators_have_a_column_and_a_verdict_each(sets, several):
    path, table = several
    text = path.read_text()
    names = list(dict.fromkeys(table.index.get_level_values("generator")))
    assert table.index.names == ["generator", "metric"] and len(names) == 3
    for metric, row in rows_of_metrics(path).items():
        assert len(row) == 4
        for name, shown in zip(names, row, strict=False):
            is_unlike = table.loc[(name, metric), "judgment"] == "unlike real"
            assert shown.endswith("|unlike real") == is_unlike
    page = Page(text)
    classes = [attributes.get("class", "") for tag, attributes in page.tags if tag == "article"]
    assert len(classes) == 3 and not any("as-real" in name for name in classes)
    assert "floors of the others differ slightly" in text
    assert sum(tag == "img" for tag, _ in page.tags) == 2 + 3 * 9
    batches = [row for row in page.rows if row and row[0] in ("one", "two")]
    assert len(batches) == 6
    assert batches[0][2] == str((sets["real"].obs["batch"] == batches[0][0]).sum())
    call = re.search(r"activa\.report\(.*\)", text).group().replace("&#39;", "'")
    assert "'training cells': cells_2, 'shuffled': cells_3}, " in call and "batch_key='batch'" in call
    assert path.stat().st_size < 5e6


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
    assert len(pictures) == 11
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
        assert rows[label][1:3] == [str(count), str((sets["synthetic"].obs["cell_type"] == label).sum())]


def test_every_metric_is_a_question():
    questions = [metric.question for metric in METRICS.values()]
    assert all(len(question) > 15 for question in questions) and len(set(questions)) == len(questions)


class Parrot:
    """A model that has learned some cells by heart, and learns its own cells so too."""

    def __init__(self, cells):
        self.cells = cells

    def generate(self, n=None, *, labels=None, seed=None):
        return self.cells[np.random.default_rng(seed).permutation(self.cells.n_obs)[:n]].copy()

    def refit(self, *, seed=None):
        return self


def test_without_types_and_for_values_that_are_no_counts(sets, tmp_path):
    real, synthetic = (sets[name][:60].copy() for name in ("real", "synthetic"))
    for adata in (real, synthetic):
        adata.X = adata.X.multiply(1e4 / adata.X.sum(axis=1)).log1p().tocsr()
    table = activa.report(real, synthetic, tmp_path / "other.html", model=Parrot(real), normalized=True)
    assert "label_fidelity" not in table.index and "dropout_distance" not in table.index
    page = Page((tmp_path / "other.html").read_text())
    assert not [attributes for tag, attributes in page.tags if attributes.get("id") == "types"]
    assert sum(tag == "img" for tag, _ in page.tags) == 4
    refit = {name: row[2].split("|")[0] for name, row in rows_of_metrics(tmp_path / "other.html").items()}
    assert float(refit["rf_auc"]) == pytest.approx(table.loc["rf_auc", "refit"], abs=6e-4)


def test_what_is_refused_is_refused_before_work(sets, made, tmp_path):
    before = made[0].read_bytes()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        activa.report(sets["real"], sets["synthetic"], made[0])
    assert made[0].read_bytes() == before
    with pytest.raises(ValueError, match="must end with '.html', got"):
        activa.report(sets["real"], sets["synthetic"], tmp_path / "report.pdf")
    with pytest.raises(FileNotFoundError, match="no report can be made"):
        activa.report(sets["real"], sets["synthetic"], tmp_path / "not" / "there.html")
    for wrong, error, match in [
        ({"labels_key": "type"}, KeyError, "labels_key 'type' is not in real.obs"),
        ({"batch_key": "donor"}, KeyError, "'donor' is not in real.obs"),
        ({"synthetic": {"one": sets["synthetic"]}, "name": "two"}, ValueError, "name must be None"),
        ({"synthetic": dict.fromkeys("abcdefg", sets["synthetic"])}, ValueError, "at most 6 generators, got 7"),
        ({"synthetic": {}}, ValueError, "at least one generator"),
    ]:
        with pytest.raises(error, match=match):
            activa.report(**{"real": sets["real"], "synthetic": sets["synthetic"], "path": tmp_path / "a.html"} | wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that refuses even root")
def test_a_path_that_only_looks_writable_is_refused_before_work(sets):
    with pytest.raises(OSError, match="no report can be made"):
        activa.report(sets["real"], sets["synthetic"], "/proc/report.html")


def test_the_call_on_the_page_is_the_one_that_made_it(made):
    call = re.search(r"activa\.report\(.*\)", made[0].read_text()).group().replace("&#39;", "'").replace("&#34;", '"')
    assert call == "activa.report(real, synthetic, \"report.html\", labels_key='cell_type', train=train, seed=0)"


def test_each_generator_has_one_umap_for_both_of_its_plots(tmp_path, monkeypatch):
    computed = []

    def counted(*arguments):
        computed.append(len(arguments[0]))
        return umap_coordinates(*arguments)

    monkeypatch.setattr(embeddings, "umap_coordinates", counted)
    generators = {"one": make_counts(50, seed=2), "other": make_counts(40, seed=3)}
    activa.report(make_counts(60, seed=1), generators, tmp_path / "page.html", labels_key="cell_type")
    assert computed == [110, 100]
    assert (tmp_path / "page.html").read_text().count("UMAP, type by type") >= 1
