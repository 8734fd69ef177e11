import anndata as ad
import numpy as np
import pytest

from activa.experiments import _random_cells as cells_module
from activa.experiments import _scaling as module
from activa.experiments import scaling
from activa.experiments._random_cells import bytes_in_memory, random_cells, write_random_cells
from activa.train import Hinge

SMALL = {"n_genes": 60, "density": 0.3, "max_epochs": 1, "n_generated": 20}


@pytest.mark.parametrize("library_size", [None, 20_000])
def test_cells_in_a_file_are_those_in_memory(tmp_path, monkeypatch, library_size):
    monkeypatch.setattr(cells_module, "_ROWS", 40)
    shape = {"n_genes": 50, "density": 0.3, "library_size": library_size, "seed": 1}
    made = random_cells(110, **shape)
    path = write_random_cells(tmp_path / "cells.h5ad", 110, **shape)
    written = ad.read_h5ad(path)
    assert made.shape == (110, 50)
    assert (made.X.getnnz(axis=1) == 15).all()
    np.testing.assert_array_equal(made.X.toarray(), written.X.toarray())
    assert list(made.obs["type"]) == list(written.obs["type"])
    assert list(made.var_names) == list(written.var_names)
    if library_size is None:
        assert set(np.unique(made.X.data)) == set(range(1, 11))
    else:
        np.testing.assert_allclose(made.X.sum(axis=1), library_size, rtol=1e-5)
    # 32 bits would end at 2^31 entries
    assert ad.read_h5ad(path, backed="r").X.group["indptr"].dtype == np.int64
    # no part repeats another
    assert len(np.unique(made.X.toarray(), axis=0)) == 110
    assert (made.X != random_cells(110, **shape | {"seed": 2}).X).nnz


def test_bytes_are_those_of_the_matrix():
    made = random_cells(100, n_genes=50, density=0.3, library_size=None, seed=0).X
    held = made.data.nbytes + made.indices.nbytes + made.indptr.nbytes
    assert bytes_in_memory(100, 50, 0.3) == pytest.approx(held, rel=0.05)


@pytest.mark.parametrize("configuration", ["default", "paper"])
def test_rows_in_memory_and_from_files(tmp_path, configuration, monkeypatch):
    trained = []
    measure = module._measure
    monkeypatch.setattr(
        module, "_measure", lambda adata, *args: trained.append(adata.isbacked) or measure(adata, *args)
    )
    state = np.random.get_state()[1].copy()
    inside, outside = (
        scaling((90, 60), configuration=configuration, accelerator="cpu", folder=folder, **SMALL)
        for folder in (None, tmp_path)
    )
    assert trained == [False, False, True, True]
    for table, in_memory in ((inside, True), (outside, False)):
        assert list(table["n_cells"]) == [60, 90]
        assert set(table["in_memory"]) == {in_memory}
        assert set(table["configuration"]) == {configuration}
        assert set(table["epochs"]) == {1} and set(table["n_generated"]) == {20} and set(table["n_genes"]) == {60}
        assert set(table["device"]) == {"cpu"}
        assert (table[["seconds_train", "seconds_per_epoch", "seconds_generate", "peak_gb"]] > 0).all(axis=None)
        assert (table["seconds_per_epoch"] <= table["seconds_train"]).all()
        assert table["peak_gb"].is_monotonic_increasing
    assert not list(tmp_path.iterdir())
    assert np.array_equal(np.random.get_state()[1], state)


def test_epochs_are_the_configurations_own(monkeypatch):
    asked = []

    class Spy(module.ACTIVA):
        def train(self, max_epochs=None, **kwargs):
            asked.append((max_epochs, self.training_defaults_.get("max_epochs"), kwargs["game"]))
            super().train(1, accelerator="cpu")

    monkeypatch.setattr(module, "ACTIVA", Spy)
    for max_epochs in (None, 122):
        scaling((90,), configuration="paper", **SMALL | {"max_epochs": max_epochs})
    # the warm-up keeps its share, 10 of 610
    assert asked == [(None, 610, None), (122, 610, Hinge(margin=110, n_epochs_warmup=2))]


@pytest.mark.parametrize(
    "kwargs, error, match",
    [
        ({"n_cells": ()}, ValueError, "n_cells must name"),
        ({"n_cells": (0, 5)}, ValueError, "n_cells must be at least 1"),
        ({"n_genes": 0}, ValueError, "n_genes"),
        ({"n_generated": 0}, ValueError, "n_generated"),
        ({"max_epochs": 0}, ValueError, "max_epochs"),
        ({"density": 0.0}, ValueError, "density"),
        ({"density": 0.001}, ValueError, "density"),
        ({"density": 1.1}, ValueError, "density"),
        ({"configuration": "fast"}, ValueError, "configuration"),
        ({"folder": "/nowhere"}, ValueError, "folder='/nowhere' is no folder"),
        ({"n_cells": (100, 10**12)}, MemoryError, "n_cells=1,000,000,000,000 of 60 genes"),
    ],
)
def test_bad_input_is_refused_before_any_work(monkeypatch, kwargs, error, match):
    monkeypatch.setattr(module, "_measure", None)
    with pytest.raises(error, match=match):
        scaling(**({"n_cells": (50,)} | SMALL | kwargs))
