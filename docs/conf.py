"""Sphinx configuration; `make docs` builds into docs/_build/html without the internet."""

import os
import socket
import sys
from importlib.metadata import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

info = metadata("activa-sc")
project = "activa"
author = "activa developers"
copyright = f"2026, {author}"
version = release = info["Version"]

extensions = [
    "first_sight",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_autodoc_typehints",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]
templates_path = ["_templates"]
bibtex_bibfiles = ["references.bib"]


def has_network() -> bool:
    """Whether other projects' inventories can be had."""
    try:
        socket.create_connection(("docs.python.org", 443), timeout=3).close()
    except OSError:
        return False
    return True


# A build without a network does without links to other projects.
if has_network():
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "anndata": ("https://anndata.readthedocs.io/en/stable/", None),
        "matplotlib": ("https://matplotlib.org/stable/", None),
        "numpy": ("https://numpy.org/doc/stable/", None),
        "pandas": ("https://pandas.pydata.org/docs/", None),
        "python": ("https://docs.python.org/3", None),
        "scanpy": ("https://scanpy.readthedocs.io/en/stable/", None),
        "scvi": ("https://docs.scvi-tools.org/en/stable/", None),
        "torch": ("https://docs.pytorch.org/docs/stable/", None),
    }

autosummary_generate = True
autodoc_member_order = "groupwise"
autodoc_inherit_docstrings = False
default_role = "literal"
napoleon_google_docstring = False
napoleon_use_rtype = True
typehints_defaults = "braces"

# The tutorials are text, run here; what has not changed is not run again. ACTIVA_DOCS_EXECUTE=off leaves the outputs out.
nb_execution_mode = "off" if os.environ.get("ACTIVA_DOCS_EXECUTE") == "off" else "cache"
nb_execution_in_temp = True
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_execution_show_tb = True
# For the notebooks' kernels: pictures on the page, no progress bars, and the commands of this environment.
os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
os.environ["TQDM_DISABLE"] = "1"
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
nb_merge_streams = True
nb_output_stderr = "remove"
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_title = "activa"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_js_files = [("tables.js", {"defer": "defer"})]
# one search box, that of the sidebar
html_theme_options = {"navbar_persistent": [], "show_navbar_depth": 1}
