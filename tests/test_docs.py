"""Which names of the pages are links to the API, and notebooks to download."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

SOURCE = Path(__file__).parents[1] / "docs" / "_ext" / "first_sight.py"
if not SOURCE.exists():
    pytest.skip("only in a checkout", allow_module_level=True)
pytest.importorskip("sphinx", reason="needs the group doc")
spec = importlib.util.spec_from_file_location("first_sight", SOURCE)
first_sight = importlib.util.module_from_spec(spec)
spec.loader.exec_module(first_sight)

KNOWN = frozenset(
    {"activa.ACTIVA", "activa.ACTIVA.train", "activa.ACTIVA.generate", "activa.Sampler.load", "activa.Sampler.generate"}
    | {"activa.metrics.evaluate", "activa.metrics.privacy.evaluate", "activa.metrics.rf_auc", "activa.pl.umap"}
    | {"activa.pl.metrics", "activa.pl.library_size", "activa.report", "activa.simulate.doublets"}
)


@pytest.mark.parametrize(
    "text, name",
    [
        ("activa.pl.umap", "activa.pl.umap"),
        ("pl.umap(real, synthetic)", "activa.pl.umap"),
        ('model.generate(labels={"B": 5})', "activa.ACTIVA.generate"),
        ("ACTIVA.train", "activa.ACTIVA.train"),
        ('Sampler.load("model/")', "activa.Sampler.load"),
        ("rf_auc", "activa.metrics.rf_auc"),
        ("doublets", "activa.simulate.doublets"),
        # two have the name, or pages use it for something else
        ("generate", None),
        ("evaluate", None),
        ("train", None),
        ("metrics", None),
        ("library_size", None),
        ("pl.library_size", "activa.pl.library_size"),
        ("report", "activa.report"),
        ("report.html", None),
        ("obs", None),
        ("activa.nothing", None),
        ("labels_key=", None),
        ("load(path, adata=False)", None),
        ("train(seed=0)", "activa.ACTIVA.train"),
    ],
)
def test_a_name_is_a_link_where_it_is_sure_what_is_meant(text, name):
    assert first_sight.api_name(text, KNOWN) == name


def test_a_tutorial_is_offered_as_a_notebook_without_roles(tmp_path):
    written = tmp_path / "jupyter_execute" / "tutorials" / "quickstart.ipynb"
    written.parent.mkdir(parents=True)
    cells = [{"cell_type": "markdown", "source": "See {doc}`judging` and {cite:p}`Lopez2018`."}]
    written.write_text(json.dumps({"cells": cells + [{"cell_type": "code", "source": "x = {doc}"}]}))
    context = {"body": "<h1>Quickstart</h1><p>Text</p>", "pathto": lambda path, _: f"../{path}"}
    app = SimpleNamespace(outdir=tmp_path / "html")
    first_sight.add_notebook(app, "tutorials/quickstart", "page.html", context, None)
    offered = tmp_path / "html" / "_sources" / f"{context['ipynb_source']}"
    sources = [cell["source"] for cell in json.loads(offered.read_text())["cells"]]
    assert sources == ["See `judging` and `Lopez2018`.", "x = {doc}"]
    assert context["body"].index("</h1>") < context["body"].index('href="../_sources/tutorials/quickstart.ipynb"')
    unchanged = {"body": "<h1>Other</h1>"}
    first_sight.add_notebook(app, "user_guide", "page.html", unchanged, None)
    assert unchanged == {"body": "<h1>Other</h1>"}
