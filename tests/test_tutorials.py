"""The tutorials are listed, and notebooks of Python; `make docs` runs them."""

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
    """Source of each cell, without its options."""
    cells = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(r"\A(:.*\n)+\n", "", cell) for cell in cells]


def test_every_tutorial_is_in_the_contents_and_in_the_table():
    listed = re.search(r"^```\{toctree\}\n:hidden:\n\n(.*?)^```$", INDEX, flags=re.MULTILINE | re.DOTALL).group(1)
    assert sorted(listed.split()) == NAMES
    assert sorted(re.findall(r"^\| \{doc\}`(\w+)`", INDEX, flags=re.MULTILINE)) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_tutorial_is_a_notebook_of_python(name):
    text = (FOLDER / f"{name}.md").read_text()
    assert text.startswith("---\njupytext:\n") and "format_name: myst" in text and "name: python3\n---\n" in text
    cells = code_cells(text)
    assert len(cells) == text.count("```{code-cell}") > 0
    for cell in cells:
        if not cell.startswith("%"):
            ast.parse(cell)
    assert not re.search(r"""["'(\s](/(home|root|tmp|work|Users)\b|~/|[A-Z]:\\)""", text), "a path of one machine"
