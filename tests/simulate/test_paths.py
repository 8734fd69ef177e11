"""Cells move from type to type: in log expression exactly, and on the classifier's scale linearly."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import ks_2samp
from tests_helpers import make_counts, make_model

from activa import ACTIVA
from activa.datasets import pbmc68k_reduced
from activa.request import Request
from activa.simulate import path
from activa.simulate.paths import mixed_log_rates
from activa.simulate.states import draw_cells, sample_states


@pytest.fixture(scope="module")
def blood() -> ACTIVA:
    return make_model(pbmc68k_reduced(), epochs=12)


def probability_of_later(model, cells, before, after):
    """Mean over tenths of the way between two types of the later one's probability among the two."""
    p = model.predict(cells, soft=True)
    inside = ((cells.obs["from_type"] == before) & (cells.obs["to_type"] == after)).to_numpy()
    place = cells.obs["position"].to_numpy()[inside]
    n_segments = round(1 / (place.max() - place.min()))
    tenth = ((place * n_segments) % 1 * 10).astype(int)
    return (p[after] / (p[before] + p[after]))[inside].groupby(tenth).mean().to_numpy()


@pytest.mark.parametrize("types", [["CD14+ Monocyte", "CD19+ B"], ["CD34+", "Dendritic", "CD19+ B"]])
def test_the_probability_of_the_later_type_is_linear(blood, types):
    cells = path(blood, types, 2_000, seed=0)
    for before, after in zip(types, types[1:], strict=False):
        found = probability_of_later(blood, cells, before, after)
        # the standard error of a tenth is 0.04
        assert len(found) == 10 and np.abs(found - (np.arange(10) + 0.5) / 10).max() < 0.2


def test_the_probability_is_linear_on_made_cells_too(model):
    found = probability_of_later(model, path(model, ["B", "T"], 3_000, seed=1), "B", "T")
    # between the means of the types themselves, which few genes tell apart
    own = model.generate(labels={"B": 1_500, "T": 1_500}, seed=3)
    p = model.predict(own, soft=True)
    low, high = (p["T"] / (p["B"] + p["T"])).groupby(own.obs["cell_type"], observed=True).mean()[["B", "T"]]
    assert np.abs(found - (low + (high - low) * (np.arange(10) + 0.5) / 10)).max() < 0.1


def test_interpolated_latents_are_a_step_where_the_path_is_none(blood):
    types = ["CD14+ Monocyte", "CD19+ B"]
    share = np.linspace(0, 1, 500)
    with torch.inference_mode():
        ends = [blood.module.prior.loc[list(blood.types).index(name), 0].numpy() for name in types]
    z = ((1 - share[:, None]) * ends[0] + share[:, None] * ends[1]).astype(np.float32)
    inferred = blood.module.gate(torch.as_tensor(z)).softmax(-1).detach().numpy().max(1)
    cells = path(blood, types, 500, seed=0)
    p = blood.predict(cells, soft=True)[types].to_numpy().max(1)
    assert (inferred < 0.9).mean() < (p < 0.9).mean()


def test_rates_of_cells_are_weighted_geometric_means(model):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 50)).astype(np.float32)
    share = np.array([0, 0.2, 0.5, 0.5, 0.9, 1.0])
    mixed = mixed_log_rates(a, b, share)
    expected = np.exp(a) ** (1 - share[:, None]) * np.exp(b) ** share[:, None]
    factor = np.exp(mixed) / expected
    np.testing.assert_allclose(factor, np.tile(factor[:, :1], 50), rtol=1e-4)  # one factor for all genes of a cell
    totals = np.exp(a).sum(1) ** (1 - share) * np.exp(b).sum(1) ** share
    np.testing.assert_allclose(np.exp(mixed).sum(1), totals, rtol=1e-5)
    np.testing.assert_allclose(mixed[[0, -1]], [a[0], b[-1]], atol=1e-5)


def test_halfway_expression_is_the_mean_of_the_types(model):
    cells = path(model, ["B", "T"], 6_000, batch="one", rates=True, seed=0)
    logs = np.log(cells.layers["rates"])
    logs -= logs.mean(1, keepdims=True)  # without the factor of the cell
    halfway = logs[np.abs(cells.obs["mix"] - 0.5) < 0.05].mean(0)
    ends = []
    for label in ("B", "T"):
        log = np.log(model.generate(3_000, labels=label, batch="one", expected=True, seed=1).X)
        ends.append((log - log.mean(1, keepdims=True)).mean(0))
    assert np.abs(ends[0] - ends[1]).max() > 1
    np.testing.assert_allclose(halfway, (ends[0] + ends[1]) / 2, atol=0.12)


def test_the_ends_are_cells_of_the_types(model):
    cells = path(model, ["B", "T"], 20_000, batch="one", rates=True, seed=0)
    for label, place in (("B", cells.obs["mix"]), ("T", 1 - cells.obs["mix"])):
        own = model.generate(2_000, labels=label, batch="one", expected=True, seed=1).X
        found = cells.layers["rates"][np.argsort(place)[:50]]
        p = [ks_2samp(found[:, gene], own[:, gene]).pvalue for gene in range(own.shape[1])]
        assert min(p) > 1e-5


def test_a_share_of_zero_is_the_state_of_the_type(model):
    sampler = model.sampler
    plans = [Request(300, label, batch="one", seed=0).plan(sampler.design, sampler.module) for label in ("B", "T")]
    a, b = (sample_states(sampler, plan, 0) for plan in plans)
    logs = [np.log(draw_cells(sampler, states, 0, expected=True)) for states in (a, b)]
    own = model.generate(300, labels="B", batch="one", expected=True, seed=0).X
    np.testing.assert_allclose(np.exp(mixed_log_rates(*logs, np.zeros(300))), own, rtol=2e-3)


def test_counts_have_the_rates(model):
    cells = path(model, ["NK", "B", "T"], 4_000, rates=True, seed=0)
    x, rates = cells.X.toarray(), cells.layers["rates"]
    z = (x - rates).mean(0) / np.sqrt((x - rates).var(0) / len(x))
    assert np.abs(z).max() < 4.5 and rates.dtype == np.float32


def test_columns_tell_the_truth(model):
    cells = path(model, ["NK", "B", "T", "B"], 3_000, seed=0)
    obs, truth = cells.obs, cells.uns["activa"]["truth"]["path"]
    assert obs["position"].between(0, 1).all() and obs["mix"].between(0, 1).all()
    assert ks_2samp(obs["position"], np.linspace(0, 1, 3_000)).pvalue > 1e-3
    place = obs["position"] * 3
    order = np.array(["NK", "B", "T", "B"])
    assert (obs["from_type"] == order[place.astype(int)]).all() and (
        obs["to_type"] == order[place.astype(int) + 1]
    ).all()
    assert (obs["cell_type"] == np.where(place % 1 < 0.5, obs["from_type"], obs["to_type"])).all()
    assert list(obs["cell_type"].cat.categories) == list(model.types) and obs["batch"].nunique() == 2
    assert truth["types"] == list(order) and truth["probability"].shape == truth["share"].shape == (3, 25)
    for segment in range(3):
        inside = place.astype(int) == segment
        low, *_, high = truth["probability"][segment]
        wanted = np.interp(obs["mix"][inside], truth["share"][segment], truth["probability"][segment])
        np.testing.assert_allclose((wanted - low) / (high - low), place[inside] % 1, atol=1e-6)


def test_a_seed_gives_the_same_cells_and_changes_no_global_state(model):
    weights = [p.clone() for p in model.module.parameters()]
    state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    first, again, other = (
        path(model, ["B", "T"], 300, rates=r, seed=s) for s, r in ((0, True), (0, False), (1, False))
    )
    assert (first.X != again.X).nnz == 0 and (first.X != other.X).nnz > 0
    pd.testing.assert_frame_equal(first.obs, again.obs)
    assert (np.random.get_state()[1] == state).all() and torch.equal(torch.get_rng_state(), torch_state)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.module.parameters(), strict=True))


def test_cells_survive_files(model, tmp_path):
    cells = path(model.sampler, ["B", "T"], 100, batch="two", rates=True, seed=0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    cells.write_zarr(tmp_path / "cells.zarr")
    for read in (ad.read_h5ad(tmp_path / "cells.h5ad"), ad.read_zarr(tmp_path / "cells.zarr")):
        assert (read.X != cells.X).nnz == 0 and (read.obs["batch"] == "two").all()
        pd.testing.assert_frame_equal(read.obs, cells.obs, check_categorical=False)
        truth = read.uns["activa"]["truth"]["path"]
        assert list(truth["types"]) == ["B", "T"] and truth["probability"].shape == (1, 25)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"types": "B"}, TypeError, "types must be a sequence"),
        ({"types": 3}, TypeError, "types must be a sequence"),
        ({"types": ["B"]}, ValueError, "at least two types"),
        ({"types": ["B", "B", "T"]}, ValueError, "twice in a row"),
        ({"types": ["B", "X"]}, KeyError, "types: \\['X'\\]"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": 2.5}, TypeError, "n must be a whole number"),
        ({"batch": "three"}, KeyError, "batch"),
        ({"rates": 1}, TypeError, "rates must be True or False"),
        ({"seed": -1}, ValueError, "seed"),
        ({"model": "model"}, TypeError, "model must be"),
    ],
)
def test_bad_arguments_are_named(model, arguments, error, message):
    with pytest.raises(error, match=message):
        path(**({"model": model, "types": ["B", "T"], "n": 10, "seed": 0} | arguments))


def test_a_registered_column_is_not_overwritten():
    cells = make_counts()
    cells.obs["position"] = cells.obs["batch"]
    other = make_model(cells, epochs=1, setup={"labels_key": "cell_type", "batch_key": "position"})
    with pytest.raises(ValueError, match="position"):
        path(other, ["B", "T"], 10)


def test_types_that_the_classifier_confuses_are_refused():
    untold = make_counts()
    untold.obs["cell_type"] = np.random.default_rng(0).permutation(untold.obs["cell_type"].to_numpy())
    with pytest.raises(ValueError, match="classifier must tell"):
        path(make_model(untold, epochs=1), ["B", "T"], 10, seed=0)
