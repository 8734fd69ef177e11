"""Conditions differ as asked and in nothing else, and the truth is written beside the counts."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kstest, ttest_ind
from tests_helpers import make_counts, make_model

from activa import simulate
from activa.simulate import Abundance, Depth, Dispersion, Donors, Expression


def of(cells: ad.AnnData, name: str) -> np.ndarray:
    return (cells.obs["condition"] == name).to_numpy()


def dense(cells: ad.AnnData) -> np.ndarray:
    return cells.X.toarray().astype(float)


@pytest.fixture(scope="module")
def pairs(wide):
    """The same cells with and without 100 changed genes."""
    effects = {"control": [], "treated": [Expression(100, 1.0, share_up=0.3)]}
    return simulate.experiment(wide, 4000, conditions=effects, paired=True, rates=True, seed=0)


def test_expected_counts_change_by_the_fold_change_and_other_genes_do_not(pairs):
    rates, log2 = pairs.layers["rates"], pairs.varm["log2_fold_change_treated"]
    assert (log2.nunique(axis=1) == 1).all()
    log2 = log2.iloc[:, 0].to_numpy()
    assert (log2 == 1).sum() == 30 and (log2 == -1).sum() == 70 and (log2 == 0).sum() == 900
    assert not pairs.varm["log2_fold_change_control"].any(axis=None)
    np.testing.assert_allclose(rates[of(pairs, "treated")], rates[of(pairs, "control")] * 2**log2, rtol=1e-4)


def test_drawn_counts_have_the_expected_ones_to_a_percent(pairs):
    x, rates = dense(pairs), pairs.layers["rates"].astype(float)
    changed = pairs.varm["log2_fold_change_treated"].iloc[:, 0].to_numpy() != 0
    for name in ("control", "treated"):
        for genes in (changed, ~changed):
            rows = np.ix_(of(pairs, name), genes)
            assert x[rows].sum() == pytest.approx(rates[rows].sum(), rel=0.01)


def test_pairs_are_the_same_cells_with_counts_of_their_own(pairs):
    first, second = (pairs[of(pairs, name)] for name in ("control", "treated"))
    columns = ["cell", "cell_type", "batch", "library_size"]
    pd.testing.assert_frame_equal(first.obs[columns].reset_index(drop=True), second.obs[columns].reset_index(drop=True))
    assert first.obs["cell"].is_unique
    assert (dense(first) != dense(second)).any(axis=1).all()


def test_p_values_are_uniform_where_nothing_differs(wide):
    cells = simulate.experiment(wide, 400, conditions={"a": [], "b": []}, labels="T", batch="one", seed=0)
    log = np.log1p(dense(cells))
    p = ttest_ind(log[of(cells, "a")], log[of(cells, "b")]).pvalue
    assert kstest(p[np.isfinite(p)], "uniform").pvalue > 0.01
    # the test can fail: a difference in one gene of ten is seen
    effects = {"a": [], "b": [Expression(300, 1.0)]}
    log = np.log1p(dense(cells := simulate.experiment(wide, 400, conditions=effects, labels="T", batch="one", seed=0)))
    p = ttest_ind(log[of(cells, "a")], log[of(cells, "b")]).pvalue
    assert kstest(p[np.isfinite(p)], "uniform").pvalue < 1e-6


def test_effects_are_of_their_types_and_add_up(wide):
    effects = [Expression(["gene_0"], [2.0], types=["B"]), Expression(["gene_0", "gene_1"], [1.0, -3.0])]
    cells = simulate.experiment(wide, 200, conditions={"treated": effects}, seed=0)
    table = cells.varm["log2_fold_change_treated"]
    assert table.loc["gene_0"].to_dict() == pytest.approx({"B": 3.0, "NK": 1.0, "T": 1.0})
    assert table.loc["gene_1"].to_dict() == pytest.approx({"B": -3.0, "NK": -3.0, "T": -3.0})
    assert not table.drop(["gene_0", "gene_1"]).any(axis=None)


def test_drawn_genes_are_expressed(wide):
    effect = Expression(20, types=["B"], min_mean=2.0)
    cells = simulate.experiment(wide, 2000, conditions={"a": [], "b": [effect]}, labels="B", rates=True, seed=3)
    changed = cells.varm["log2_fold_change_b"]["B"].to_numpy() != 0
    assert changed.sum() == 20
    assert cells.layers["rates"][of(cells, "a")].mean(0)[changed].min() > 1.7


def test_dispersion_changes_the_variance_and_not_the_mean(wide):
    genes = [f"gene_{i}" for i in range(100)]
    effects = {"a": [], "b": [Dispersion(genes, 6.0)]}
    cells = simulate.experiment(wide, 3000, conditions=effects, paired=True, rates=True, labels="T", seed=0)
    x, rates, b = dense(cells), cells.layers["rates"], of(cells, "b")
    np.testing.assert_allclose(rates[b], rates[~b], rtol=1e-5)
    ratio = x[b].var(0) / x[~b].var(0)
    assert np.median(ratio[:100]) > 1.5
    assert np.median(ratio[100:]) == pytest.approx(1, abs=0.03)
    assert cells.varm["log2_dispersion_b"].iloc[:100].to_numpy() == pytest.approx(np.log2(6.0))
    assert "log2_dispersion_a" not in cells.varm


def test_abundance_multiplies_the_proportions(wide):
    cells = simulate.experiment(wide, 1000, conditions={"a": [], "b": [Abundance({"NK": 4.0})]}, seed=0)
    share = pd.crosstab(cells.obs["cell_type"], cells.obs["condition"], normalize="columns")
    expected = share["a"] * [1, 4, 1] / (share["a"] * [1, 4, 1]).sum()
    assert share["b"].to_numpy() == pytest.approx(expected.to_numpy(), abs=2e-3)
    table = cells.uns["activa"]["truth"]["proportions"]
    assert table.to_numpy() == pytest.approx(share.to_numpy(), abs=1e-3)


def test_depth_is_a_factor_or_that_of_another_batch():
    counts = make_counts(400, 60)
    counts.X = counts.X.multiply(np.where(counts.obs["batch"] == "two", 6, 1)[:, None]).tocsr()
    model = make_model(counts, epochs=30, setup={"labels_key": "cell_type", "batch_key": "batch"})
    effects = {"own": [], "half": [Depth(0.5)], "other": [Depth(batch="two")]}
    cells = simulate.experiment(model, 800, conditions=effects, paired=True, batch="one", rates=True, seed=0)
    size = cells.obs["library_size"].to_numpy()
    np.testing.assert_allclose(size[of(cells, "half")], size[of(cells, "own")] / 2, rtol=1e-5)
    np.testing.assert_allclose(cells.layers["rates"].sum(1), size, rtol=1e-3)
    two = model.generate(800, batch="two", latents=True, seed=1).obs["library_size"]
    assert np.median(size[of(cells, "other")]) == pytest.approx(np.median(two), rel=0.1)
    assert np.median(size[of(cells, "other")]) > 3 * np.median(size[of(cells, "own")])
    assert (cells.obs["batch"] == "one").all()


def test_donors_are_of_one_condition_or_shared_by_pairs(wide):
    donors = Donors(3, variance=0.2, concentration=10.0, library_spread=0.3)
    cells = simulate.experiment(wide, 50, conditions={"a": [], "b": []}, donors=donors, seed=0)
    assert cells.obs.groupby("donor", observed=True).size().tolist() == [50] * 6
    assert cells.obs.groupby("donor", observed=True)["condition"].nunique().eq(1).all()
    pairs = simulate.experiment(wide, 50, conditions={"a": [], "b": []}, donors=donors, paired=True, rates=True, seed=0)
    assert pairs.obs.groupby("donor", observed=True)["condition"].nunique().tolist() == [2, 2, 2]
    np.testing.assert_array_equal(pairs.layers["rates"][of(pairs, "a")], pairs.layers["rates"][of(pairs, "b")])


def test_the_truth_survives_files(wide, tmp_path):
    effects = {
        "control": [],
        "treated": [Expression(5), Dispersion(["gene_3"], 2.0, types=["B"]), Abundance({"B": 2.0}), Depth(2.0)],
    }
    cells = simulate.experiment(wide, 30, conditions=effects, donors=Donors(2), rates=True, seed=0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    cells.write_zarr(tmp_path / "cells.zarr")
    for read in (ad.read_h5ad(tmp_path / "cells.h5ad"), ad.read_zarr(tmp_path / "cells.zarr")):
        for name, table in cells.varm.items():
            pd.testing.assert_frame_equal(read.varm[name], table, check_names=False)
        truth = read.uns["activa"]["truth"]
        assert truth["conditions"]["treated"]["0"]["genes"] == 5
        assert list(truth["conditions"]["treated"]["2"]["types"]) == ["B"]
        pd.testing.assert_frame_equal(
            truth["proportions"], cells.uns["activa"]["truth"]["proportions"], check_names=False
        )
        assert truth["donors"]["variance"].shape == (1000,)
        assert (read.obs["donor"] == cells.obs["donor"]).all()


def test_types_with_a_slash_can_be_written(tmp_path):
    counts = make_counts()
    counts.obs["cell_type"] = counts.obs["cell_type"].cat.rename_categories({"B": "B/plasma"})
    model = make_model(counts, epochs=2)
    effects = [Expression(["gene_0"], [1.0], types=["B/plasma"]), Abundance({"B/plasma": 2.0})]
    cells = simulate.experiment(model, 20, conditions={"a": effects}, seed=0)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    assert cells.varm["log2_fold_change_a"].loc["gene_0", "B_plasma"] == 1


def test_a_seed_gives_the_same_cells_and_leaves_random_states(wide):
    def made(seed: int) -> ad.AnnData:
        effects = {"a": [], "b": [Expression(10)]}
        return simulate.experiment(wide, 40, conditions=effects, donors=Donors(2, concentration=5.0), seed=seed)

    numpy_state, torch_state = np.random.get_state()[1].copy(), torch.get_rng_state()
    first, again, other = made(1), made(1), made(2)
    assert (np.random.get_state()[1] == numpy_state).all() and torch.equal(torch.get_rng_state(), torch_state)
    assert (first.X != again.X).nnz == 0 and (first.X != other.X).nnz > 0
    pd.testing.assert_frame_equal(first.obs, again.obs)
    pd.testing.assert_frame_equal(first.varm["log2_fold_change_b"], again.varm["log2_fold_change_b"])


def test_a_sampler_simulates_what_its_model_does(wide):
    conditions = {"a": [Depth(0.5)]}
    ours, theirs = (simulate.experiment(m, 30, conditions=conditions, seed=0) for m in (wide, wide.sampler))
    assert (ours.X != theirs.X).nnz == 0


BAD = {
    "conditions is no mapping": (TypeError, "conditions", {"conditions": [[]]}),
    "no condition": (TypeError, "conditions", {"conditions": {}}),
    "a slash": (ValueError, "slash", {"conditions": {"a/b": []}}),
    "an effect without a list": (TypeError, "sequence of effects", {"conditions": {"a": Depth(2.0)}}),
    "no effect": (TypeError, "effects of activa", {"conditions": {"a": ["up"]}}),
    "unknown gene": (KeyError, "genes", {"conditions": {"a": [Expression(["nobody"])]}}),
    "unknown type": (KeyError, "types", {"conditions": {"a": [Expression(["gene_0"], types=["X"])]}}),
    "too many genes": (ValueError, "genes=1001", {"conditions": {"a": [Expression(1001)]}}),
    "unknown type of abundance": (KeyError, "fold_changes", {"conditions": {"a": [Abundance({"X": 2.0})]}}),
    "no cells left": (
        ValueError,
        "leaves no cell",
        {"conditions": {"a": [Abundance(dict.fromkeys("BT", 0.0) | {"NK": 0})]}},
    ),
    "abundance in pairs": (ValueError, "Abundance", {"conditions": {"a": [Abundance({"B": 2.0})]}, "paired": True}),
    "unknown batch of depth": (KeyError, "batch", {"conditions": {"a": [Depth(batch="three")]}}),
    "donors": (TypeError, "donors", {"donors": 3}),
    "labels per cell": (TypeError, "labels", {"labels": ["B", "T"]}),
    "no number": (ValueError, "n must be", {"n": None}),
    "paired": (TypeError, "paired", {"paired": 1}),
    "seed": (TypeError, "seed", {"seed": "one"}),
    "genes of donors": (KeyError, "variance", {"donors": Donors(2, pd.Series({"gene_0": 0.1}))}),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(wide, case):
    error, message, arguments = BAD[case]
    with pytest.raises(error, match=message):
        simulate.experiment(wide, **{"n": 10, "conditions": {"a": []}, "seed": 0} | arguments)


def test_models_without_a_state_are_refused():
    for settings in ({"architecture": "deep"}, {"gene_likelihood": "normal"}):
        model = make_model(epochs=1, **settings)
        with pytest.raises(ValueError, match="log-linear"):
            simulate.experiment(model, 10, conditions={"a": []}, seed=0)
    with pytest.raises(TypeError, match="model must be"):
        simulate.experiment("model", 10, conditions={"a": []}, seed=0)


@pytest.mark.parametrize(
    ("error", "make"),
    [
        (TypeError, lambda: Expression("gene_0")),
        (ValueError, lambda: Expression([])),
        (ValueError, lambda: Expression(["a", "a"])),
        (ValueError, lambda: Expression(0)),
        (ValueError, lambda: Expression(3, -1.0)),
        (ValueError, lambda: Expression(3, [1.0, 2.0, 3.0])),
        (ValueError, lambda: Expression(["a", "b"], [1.0])),
        (ValueError, lambda: Expression(["a"], [np.nan])),
        (ValueError, lambda: Expression(3, share_up=1.5)),
        (TypeError, lambda: Expression(["a"], types="B")),
        (ValueError, lambda: Dispersion(3, 0.0)),
        (TypeError, lambda: Abundance([2.0])),
        (ValueError, lambda: Abundance({"B": -1.0})),
        (ValueError, lambda: Depth(0.0)),
        (TypeError, lambda: Depth("half")),
        (ValueError, lambda: Donors(0)),
        (ValueError, lambda: Donors(2, -0.1)),
        (ValueError, lambda: Donors(2, pd.Series({"a": np.nan}))),
        (ValueError, lambda: Donors(2, shared=2.0)),
    ],
)
def test_effects_and_donors_check_their_fields(error, make):
    with pytest.raises(error):
        make()
