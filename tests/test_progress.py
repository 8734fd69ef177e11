"""Progress bars obey scvi-tools' and scanpy's verbosity."""

import logging
import os

import pytest
import scanpy
import scvi

from activa.progress import is_quiet, progress


@pytest.fixture
def restored():
    levels = scvi.settings.verbosity, scanpy.settings.verbosity
    yield
    scvi.settings.verbosity, scanpy.settings.verbosity = levels


def shown(capsys) -> bool:
    assert list(progress(range(3), mininterval=0)) == [0, 1, 2]
    return "3" in capsys.readouterr().err


@pytest.mark.skipif(bool(os.environ.get("TQDM_DISABLE")), reason="tqdm is switched off")
def test_bars_are_shown_by_default(restored, capsys):
    assert not is_quiet() and shown(capsys)


@pytest.mark.parametrize("level", [logging.ERROR, logging.WARNING, "ERROR"])
def test_scvi_tools_verbosity_switches_them_off(restored, capsys, level):
    scvi.settings.verbosity = level
    assert is_quiet() and not shown(capsys)


def test_scanpy_verbosity_switches_them_off(restored, capsys):
    scanpy.settings.verbosity = "error"
    assert is_quiet() and not shown(capsys)
