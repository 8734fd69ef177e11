"""The tutorials' text; that they run is what `make docs` checks."""

import ast
import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "tutorials"
if not FOLDER.is_dir():
    pytest.skip("the tutorials are not in a source distribution", allow_module_level=True)
NAMES = sorted(path.stem for path in FOLDER.iterdir() if path.stem != "index")
INDEX = (FOLDER / "index.md").read_text()


def code_cells(text: str) -> list[str]:
    """Source of each cell, without the lines that say how it is shown."""
    cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r"\A(:.*\n)+\n", "", cell) for cell in cells]


def test_every_tutorial_is_in_the_contents_and_in_the_table():
    listed = re.search(r"^```\{toctree\}\n:hidden:\n\n(.*?)^```$", INDEX, flags=re.MULTILINE | re.DOTALL).group(1)
    assert sorted(listed.split()) == NAMES
    assert sorted(re.findall(r"^\| \{doc\}`(\w+)`", INDEX, flags=re.MULTILINE)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_is_a_notebook_that_says_where_it_leads(name):
    text = (FOLDER / f"{name}.md").read_text()
    assert text.startswith("---\njupytext:\n") and "format_name: myst" in text and "name: python3\n---\n" in text
    title, first = re.findall(r"^# .*|^\*\*At the end you have\*\* .*", text, flags=re.MULTILINE)[:2]
    assert title.startswith("# ") and first.startswith("**At")
    assert text.rstrip().splitlines()[-1] and "**Next:** " in text.split("\n## ")[-1]

    cells = code_cells(text)
    assert len(cells) == text.count("```{code-cell}")
    for cell in cells:
        if not cell.startswith("%"):
            ast.parse(cell)
    assert not re.search(r"""["'(\s](/(home|root|tmp|work|Users)\b|~/|[A-Z]:\\)""", text), "a path of one machine"
    code = "\n".join(cells)
    assert "warnings" not in code and "logging" not in code, "how pages look is set in docs/conf.py"
    for made in re.findall(r"\.(?:train|fit)\(.*", code):
        assert not made.startswith(".train(") or "enable_progress_bar=False" in code
