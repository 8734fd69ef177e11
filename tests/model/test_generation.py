"""What a model generates is what its sampler draws; real and generated cells together."""

import inspect

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from tests_helpers import make_counts, make_model

from activa import ACTIVA, Sampler


def dense(adata: ad.AnnData) -> np.ndarray:
    return adata.X.toarray()


@pytest.mark.parametrize("method", ["generate", "generate_batches", "generate_zarr"])
def test_the_model_has_the_samplers_methods_with_their_documentation(method):
    of_model, of_sampler = getattr(ACTIVA, method), getattr(Sampler, method)
    assert of_model.__doc__ == of_sampler.__doc__
    assert inspect.signature(of_model) == inspect.signature(of_sampler)


def test_the_sampler_draws_the_models_cells(model):
    cells, drawn = (m.generate(300, seed=1) for m in (model, model.sampler))
    np.testing.assert_array_equal(dense(cells), dense(drawn))
    pd.testing.assert_frame_equal(cells.obs, drawn.obs)


def test_augment_puts_new_cells_under_the_real_ones(model):
    more = model.augment(labels={"NK": 25}, seed=0)
    real, new = more[more.obs["origin"] == "real"], more[more.obs["origin"] == "synthetic"]
    np.testing.assert_array_equal(dense(real), dense(model.adata))
    np.testing.assert_array_equal(dense(new), dense(model.generate(labels={"NK": 25}, seed=0)))
    assert list(more.obs["cell_type"].cat.categories) == list(model.adata.obs["cell_type"].cat.categories)
    assert list(real.obs_names) == list(model.adata.obs_names) and more.obs_names.is_unique
    assert new.obs["age"].isna().all() and (real.obs["age"] == model.adata.obs["age"]).all()
    assert not [c for c in more.obs if c.startswith("_scvi")] and not [k for k in more.uns if k.startswith("_scvi")]
    pd.testing.assert_frame_equal(more.var, model.adata.var)
    twice = more[:, :].copy()
    ACTIVA.setup_anndata(twice, labels_key="cell_type")  # what comes out can go in


def test_augment_overwrites_no_column(counts):
    counts.obs["origin"] = "donor 1"
    with pytest.raises(ValueError, match="origin"):
        make_model(counts, epochs=1).augment(3)


def test_backed_data_train_as_those_in_memory_do(tmp_path):
    make_counts().write_h5ad(tmp_path / "cells.h5ad")
    backed, in_memory = (
        make_model(ad.read_h5ad(tmp_path / "cells.h5ad", backed=mode), epochs=2) for mode in ("r", None)
    )
    assert backed.adata.isbacked
    # the same cells in each minibatch, which scvi reads in the file's order: without draws the order says nothing
    weights = (model.module.classifier.parameters() for model in (backed, in_memory))
    for value, expected in zip(*weights, strict=True):
        torch.testing.assert_close(value, expected, rtol=0, atol=1e-6)
    losses = [model.history["elbo_train"].to_numpy(dtype=float) for model in (backed, in_memory)]
    np.testing.assert_allclose(*losses, rtol=0.01)
    more = backed.augment(5, seed=0)
    np.testing.assert_array_equal(dense(more)[:240], dense(in_memory.adata))
    assert more.n_obs == 245 and set(backed.predict()) <= set(backed.types)


def test_an_untrained_model_says_so(counts):
    ACTIVA.setup_anndata(counts, labels_key="cell_type")
    model = ACTIVA(counts)
    for call in (lambda: model.generate(3), model.predict):
        with pytest.raises(RuntimeError, match="train"):
            call()
