import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import issparse
from tests_helpers import make_counts, make_model

from activa.drawing import draw_chunks


def same(a: ad.AnnData, b: ad.AnnData) -> None:
    dense = [x.toarray() if issparse(x) else x for x in (a.X, b.X)]
    np.testing.assert_array_equal(*dense)
    assert a.X.dtype == b.X.dtype and issparse(a.X) == issparse(b.X)
    pd.testing.assert_frame_equal(a.obs, b.obs)
    pd.testing.assert_frame_equal(a.var, b.var)
    assert set(a.layers) == set(b.layers) and set(a.uns) == set(b.uns) == {"activa"}
    for layer in a.layers:
        assert (a.layers[layer] != b.layers[layer]).sum() == 0
    assert a.uns["activa"]["seed"] == b.uns["activa"]["seed"]
    assert a.uns["activa"]["version"] == b.uns["activa"]["version"]
    assert set(a.uns["activa"]["settings"]) == set(b.uns["activa"]["settings"])


@pytest.mark.parametrize("kwargs", [{}, {"expected": True}, {"min_confidence": 0.0}, {"labels_key": "kind"}])
def test_the_store_holds_what_generate_gives(model, tmp_path, kwargs):
    path = tmp_path / "cells.zarr"
    model.generate_zarr(path, 700, seed=3, batch_size=256, **kwargs)
    cells = model.generate(700, seed=3, **kwargs)
    same(ad.read_zarr(path), cells)
    lazy = ad.experimental.read_lazy(path)
    assert lazy.shape == cells.shape
    assert list(lazy.obs["batch"].to_numpy()) == list(cells.obs["batch"])
    np.testing.assert_array_equal(
        np.asarray(lazy[:300].to_memory().X.sum(0)).ravel(), np.asarray(cells.X[:300].sum(0)).ravel()
    )
    assert list(tmp_path.iterdir()) == [path]


def test_a_layer_is_in_the_store_too(tmp_path):
    adata = make_counts()
    adata.layers["counts"] = adata.X.copy()
    setup = {
        "layer": "counts", "labels_key": "cell_type", "categorical_covariate_keys": ["sex"], "continuous_covariate_keys": ["age"]
    }  # fmt: skip
    model = make_model(adata, epochs=2, setup=setup)
    model.generate_zarr(tmp_path / "cells.zarr", labels={"T": 300, "B": 3}, seed=0, batch_size=1)
    same(ad.read_zarr(tmp_path / "cells.zarr"), model.generate(labels={"T": 300, "B": 3}, seed=0))


def test_row_offsets_can_pass_two_to_the_31(model, tmp_path):
    import zarr

    model.generate_zarr(tmp_path / "cells.zarr", 5, seed=0)
    assert zarr.open_group(tmp_path / "cells.zarr", mode="r")["X/indptr"].dtype == np.int64


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_nothing(model, tmp_path, monkeypatch, error):
    """Half of the cells are written when it comes; an old store is still there."""
    path = tmp_path / "cells.zarr"

    def stop_at_the_third(*args, **kwargs):
        for i, chunk in enumerate(draw_chunks(*args, **kwargs)):
            if i == 2:
                raise error
            yield chunk

    for before in ([], [path]):
        if before:
            monkeypatch.undo()
            model.generate_zarr(path, 5, seed=1)
        monkeypatch.setattr("activa.sampler.draw_chunks", stop_at_the_third)
        with pytest.raises(error):
            model.generate_zarr(path, 1_000, seed=0, batch_size=256, overwrite=True)
        assert list(tmp_path.iterdir()) == before
    monkeypatch.undo()
    same(ad.read_zarr(path), model.generate(5, seed=1))


def test_nothing_is_overwritten_unless_asked_for(model, tmp_path):
    path = tmp_path / "cells.zarr"
    model.generate_zarr(path, 5, seed=1)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.generate_zarr(path, 9, seed=2)
    same(ad.read_zarr(path), model.generate(5, seed=1))
    model.generate_zarr(str(path), 9, seed=2, overwrite=True)
    same(ad.read_zarr(path), model.generate(9, seed=2))
    assert list(tmp_path.iterdir()) == [path]
    for other in ("folder", "file"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / "thesis.txt").write_text("years of work")
        (tmp_path / "file").write_text("years of work")
        with pytest.raises(FileExistsError, match="zarr store"):
            model.generate_zarr(tmp_path / other, 9, overwrite=True)
    assert (tmp_path / "folder" / "thesis.txt").exists() and (tmp_path / "file").exists()


def test_a_folder_that_cannot_be_written_in(model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")

    def start(*args, **kwargs):
        yield pytest.fail("work has started")

    monkeypatch.setattr("activa.sampler.draw_chunks", start)
    with pytest.raises(FileNotFoundError, match="zarr store"):
        model.generate_zarr(tmp_path / "absent" / "cells.zarr", 5)
    with pytest.raises(NotADirectoryError, match="zarr store"):
        model.generate_zarr(tmp_path / "file" / "cells.zarr", 5)


def test_bad_arguments_leave_nothing(model, tmp_path):
    with pytest.raises(KeyError, match="Mast"):
        model.generate_zarr(tmp_path / "cells.zarr", labels={"Mast": 3})
    with pytest.raises(ValueError, match="n must be the number"):
        model.generate_zarr(tmp_path / "cells.zarr")
    assert not list(tmp_path.iterdir())
