"""Names that the examples in docstrings may use without defining them (`pytest --doctest-modules src`)."""

from __future__ import annotations

import ast
import doctest
import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

MODULES = {"activa": "activa", "np": "numpy", "pd": "pandas", "torch": "torch"}


@cache
def _cells() -> Any:
    """700 real cells."""
    return importlib.import_module("activa.datasets").pbmc68k_reduced()


@cache
def _model() -> Any:
    """A small model of these cells, trained for a few epochs."""
    model_class = importlib.import_module("activa").ACTIVA
    adata = _cells().copy()
    model_class.setup_anndata(adata, labels_key="cell_type")
    model = model_class(adata, n_hidden=(16,), n_latent=4)
    model.train(max_epochs=3, enable_progress_bar=False, seed=0)
    return model


# Each is made only for an example that uses it. Cells are fresh copies; the model is one for all examples.
NAMES: dict[str, Callable[[], Any]] = {
    "ACTIVA": lambda: importlib.import_module("activa").ACTIVA,
    "adata": lambda: _cells().copy(),
    "train": lambda: _cells()[200:].copy(),
    "held_out": lambda: _cells()[:200].copy(),
    "synthetic": lambda: _model().generate(200, labels_key="cell_type", seed=0),
    "model": _model,
}


@pytest.fixture(autouse=True)
def _names_of_examples(request: pytest.FixtureRequest) -> None:
    """Add to an example the names it uses, and run it in an empty folder without windows or progress bars."""
    if not isinstance(request.node, pytest.DoctestItem):
        return
    test = request.node.dtest
    sources = [example.source for example in test.examples if not example.options.get(doctest.SKIP)]
    names = {node.id for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}
    test.globs.update({name: importlib.import_module(module) for name, module in MODULES.items() if name in names})
    test.globs.update({name: make() for name, make in NAMES.items() if name in names})
    request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))
