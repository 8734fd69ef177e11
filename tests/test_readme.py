"""What the README shows: its examples run, its figures are those of the benchmark, and its picture is small."""

import re
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
if not (ROOT / "docs").is_dir():
    pytest.skip("only in a checkout", allow_module_level=True)
README = (ROOT / "README.md").read_text()
SETS = {
    "cbmc": "cbmc_citeseq_hvg2000",
    "Zheng": "zheng_facs_pbmc",
    "PBMC 3k": "pbmc3k",
    "paul15": "paul15_marrow",
    "Baron": "baron_mouse_pancreas",
    "sc_mixology": "sc_mixology_5cl",
}


def rows(text):
    """Fields of the first Markdown table of a text, without its headings."""
    table = re.search(r"(^\|.*\n)+", text, flags=re.MULTILINE).group()
    return [[field.strip() for field in line.strip("|\n").split("|")] for line in table.splitlines()[2:]]


def test_the_examples_run_as_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.print", lambda *_, **__: None)
    names = {}
    for block in re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL):
        exec(compile(block, "README.md", "exec"), names)
    assert not set(names["train"].obs_names) & set(names["held_out"].obs_names)
    counts = [names[of].obs["cell_type"].astype(str).value_counts() for of in ("held_out", "synthetic")]
    pd.testing.assert_series_equal(*counts, check_like=True)
    assert (names["stem_cells"].obs["cell_type"] == "CD34+").all() and names["stem_cells"].n_obs == 500
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_the_figures_are_those_of_the_benchmark():
    measured = rows((ROOT / "benchmarks" / "results" / "realism.md").read_text())
    figures = {(name, generator): (auc, floor) for name, generator, _, auc, floor, *_ in measured}
    shown = rows(README[README.index("## How realistic") :])
    assert len(shown) == len(SETS)
    for name, _, auc, floor, others in shown:
        (key,) = [key for short, key in SETS.items() if short in name]
        assert (auc, floor) == figures[key, "ACTIVA"]
        for figure, generator in re.findall(r"([\d.]+) for ([\w ]+)", others):
            known = {"scVI": "scVI, posterior", "independent genes": "NB per type, independent genes"}
            assert figures[key, known[generator]][0].startswith(f"{figure} (")


def test_it_begins_with_what_it_is_and_a_picture():
    begins = README[: README.index("## How realistic")]
    assert "introspective" not in begins.lower()
    assert begins.splitlines()[2].endswith("your own labeled cells.")
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", begins)
    assert len(pictures) == 1 and 5_000 < (ROOT / pictures[0]).stat().st_size < 150_000


def test_every_tutorial_has_a_card_with_a_picture():
    cards = re.findall(r'<a href="tutorials/(\w+)\.html"><img src="(\S+)"', (ROOT / "docs" / "index.md").read_text())
    names = sorted(path.stem for path in (ROOT / "tutorials").glob("*.md") if path.stem != "index")
    assert sorted(name for name, _ in cards) == names
    for name, picture in cards:
        assert picture == f"_static/gallery/{name}.png" and (ROOT / "docs" / picture).stat().st_size < 60_000
