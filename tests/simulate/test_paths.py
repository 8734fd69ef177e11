"""Cells between types are between them, and cells along a pseudotime follow it."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import spearmanr
from tests_helpers import make_counts, make_model

import activa
from activa import ACTIVA, simulate
from activa.request import Request
from activa.simulate.states import sample_states, sampler_of


@pytest.fixture(scope="module")
def blood() -> ACTIVA:
    """A model of real cells, half trained, with a pseudotime: the first component of the monocytes and dendritic cells."""
    cells = activa.datasets.pbmc68k_reduced()
    ACTIVA.setup_anndata(cells, labels_key="cell_type")
    model = ACTIVA(cells, seed=0)
    model.train(max_epochs=40, seed=0, enable_progress_bar=False)
    own = cells.obs["cell_type"].isin(["CD14+ Monocyte", "Dendritic"]).to_numpy()
    log = np.log1p(cells.X[own].toarray() / cells.X[own].sum(1) * 1e4)
    cells.obs["time"] = np.nan
    cells.obs.loc[own, "time"] = np.asarray(np.linalg.svd(np.asarray(log - log.mean(0)), full_matrices=False)[0])[:, 0]
    return model


def deciles(values: np.ndarray) -> np.ndarray:
    return np.array([part.mean() for part in np.array_split(np.asarray(values, dtype=float), 10)])


@pytest.mark.parametrize("types", [["CD34+", "CD14+ Monocyte"], ["CD19+ B", "CD56+ NK"], ["Dendritic", "CD19+ B"]])
def test_the_classifier_goes_evenly_from_one_type_to_the_next(blood, types):
    cells = simulate.path(blood, types, 1000, seed=1)
    p = blood.predict(cells, soft=True)[types]
    found = deciles((p.iloc[:, 1] / p.sum(axis=1)).to_numpy())
    line = found[0] + (found[-1] - found[0]) * (np.arange(10) / 9)
    assert found == pytest.approx(line, abs=0.15)
    assert found[0] < 0.25 and found[-1] > 0.75
    assert (np.diff(cells.obs["mix"]) >= 0).all() and cells.obs["mix"].iloc[[0, -1]].tolist() == [0, 1]
    nearer = np.where(cells.obs["position"] < 0.5, *types)
    assert (cells.obs["cell_type"].astype(str) == nearer).all()


def test_ends_are_the_types_and_the_middle_is_between(blood):
    types = ["CD34+", "CD14+ Monocyte"]
    cells = simulate.path(blood, types, 2000, rates=True, seed=0)
    log = np.log(cells.layers["rates"] / cells.layers["rates"].sum(1, keepdims=True))
    first, last = (
        np.log(x / x.sum(1, keepdims=True)).mean(0)
        for x in (blood.generate(500, labels=t, expected=True, seed=5).X for t in types)
    )
    mix = cells.obs["mix"].to_numpy()
    near = [log[(mix >= low) & (mix <= high)].mean(0) for low, high in ((0, 0.1), (0.45, 0.55), (0.9, 1))]
    assert np.corrcoef(near[0] - first, last - first)[0, 1] < 0.5  # nothing systematic is left
    assert np.abs(near[0] - first).mean() < 0.1 * np.abs(last - first).mean() + 0.1
    slope = np.polyfit(last - first, near[1] - first, 1)[0]
    assert slope == pytest.approx(mix[(mix > 0.45) & (mix < 0.55)].mean(), abs=0.1)


def test_mixed_states_are_weighted_means_and_vary_as_much(wide):
    sampler = sampler_of(wide)
    a, b = (sample_states(sampler, Request(300, t, seed=0).plan(sampler.design, sampler.module), 0) for t in ("B", "T"))
    half = a.mixed(b, np.full(300, 0.5))
    np.testing.assert_allclose(half.inputs, (a.inputs + b.inputs) / 2, atol=1e-6)
    np.testing.assert_allclose(half.log_library, (a.log_library + b.log_library) / 2, atol=1e-5)
    np.testing.assert_array_equal(a.mixed(b, np.zeros(300)).inputs, a.inputs)


def test_three_types_one_after_the_other(blood):
    types = ["CD34+", "CD14+ Monocyte", "CD19+ B"]
    cells = simulate.path(blood, types, 101, seed=0)
    assert cells.obs["position"].to_numpy() == pytest.approx(np.linspace(0, 1, 101))
    assert cells.obs["from_type"].astype(str).tolist() == ["CD34+"] * 50 + ["CD14+ Monocyte"] * 51
    assert cells.obs["to_type"].astype(str).tolist() == ["CD14+ Monocyte"] * 50 + ["CD19+ B"] * 51


def test_genes_that_rise_in_real_cells_rise_in_simulated_ones(blood):
    real = blood.adata[blood.adata.obs["time"].notna()].copy()
    cells = simulate.trajectory(blood, "time", 1000, seed=0)
    assert cells.obs["time"].is_monotonic_increasing
    assert cells.obs["time"].min() == real.obs["time"].min() and cells.obs["time"].max() == real.obs["time"].max()

    def slopes(x: np.ndarray, time: np.ndarray) -> np.ndarray:
        log = np.log1p(x / x.sum(1, keepdims=True) * 1e4)
        return np.nan_to_num([spearmanr(time, gene).statistic for gene in log.T])

    expressed = np.asarray(real.X.mean(0)).ravel() > 0.5
    ours, theirs = (slopes(c.X.toarray()[:, expressed], c.obs["time"].to_numpy()) for c in (cells, real))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.9
    assert np.abs(theirs).max() > 0.5
    assert set(cells.obs["cell_type"].astype(str)) == {"CD14+ Monocyte", "Dendritic"}


@pytest.mark.parametrize("make", ["path", "trajectory", "homogeneous"])
def test_a_seed_gives_the_same_cells_that_files_keep(blood, make, tmp_path):
    def made(seed: int) -> ad.AnnData:
        if make == "path":
            return simulate.path(blood, ["CD34+", "Dendritic"], 30, rates=True, seed=seed)
        if make == "trajectory":
            return simulate.trajectory(blood, "time", 30, rates=True, seed=seed)
        return simulate.homogeneous(blood, 30, seed=seed)

    state, before = torch.get_rng_state(), blood.adata.obs.copy()
    first, again, other = made(1), made(1), made(2)
    assert torch.equal(torch.get_rng_state(), state)
    pd.testing.assert_frame_equal(blood.adata.obs, before)
    assert (first.X != again.X).nnz == 0 and (first.X != other.X).nnz > 0
    assert (first.X.data % 1 == 0).all() and first.obs_names.is_unique
    first.write_h5ad(tmp_path / "cells.h5ad")
    first.write_zarr(tmp_path / "cells.zarr")
    for read in (ad.read_h5ad(tmp_path / "cells.h5ad"), ad.read_zarr(tmp_path / "cells.zarr")):
        assert (read.X != first.X).nnz == 0 and set(read.obs) == set(first.obs)
        assert make in read.uns["activa"]["truth"]
        if "rates" in first.layers:
            np.testing.assert_array_equal(read.layers["rates"], first.layers["rates"])


@pytest.mark.parametrize(
    ("error", "message", "types"),
    [
        (ValueError, "two or more", ["CD34+"]),
        (ValueError, "two or more", "CD34+"),
        (KeyError, "types", ["CD34+", "nobody"]),
        (ValueError, "change", ["CD34+", "CD34+"]),
    ],
)
def test_bad_paths_are_refused(blood, error, message, types):
    with pytest.raises(error, match=message):
        simulate.path(blood, types, 10, seed=0)


def test_types_that_are_not_told_apart_are_refused():
    cells = make_counts()
    cells.obs["cell_type"] = np.random.default_rng(0).permutation(cells.obs["cell_type"])
    model = make_model(cells, epochs=2)
    with pytest.raises(ValueError, match="tell"):
        simulate.path(model, ["B", "T"], 10, seed=0)


def test_bad_pseudotimes_are_refused(blood):
    blood.adata.obs["word"] = "late"
    blood.adata.obs["nine"] = [1.0] * 9 + [np.nan] * (blood.adata.n_obs - 9)
    try:
        for error, message, key in (
            (KeyError, "column", "nobody"),
            (TypeError, "numbers", "word"),
            (ValueError, "ten", "nine"),
        ):
            with pytest.raises(error, match=message):
                simulate.trajectory(blood, key, 10, seed=0)
    finally:
        blood.adata.obs = blood.adata.obs.drop(columns=["word", "nine"])
    with pytest.raises(ValueError, match="with its cells"):
        simulate.trajectory(blood.sampler, "time", 10, seed=0)
