import dataclasses

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.sparse import csc_matrix, csr_matrix

from activa.data import log_normalize
from activa.metrics import METRICS, Metric, evaluate, evaluation, wasserstein

QUICK = ["mmd", "wasserstein", "correlation_discrepancy", "dropout_distance", "label_fidelity"]


def evaluate_quickly(*args, **kwargs):
    return evaluate(*args, **{"labels_key": "cell_type", "metrics": QUICK} | kwargs)


@pytest.fixture
def instant(monkeypatch):
    """Metrics that take no time, for tests of which are chosen."""
    for name, metric in METRICS.items():
        monkeypatch.setitem(METRICS, name, dataclasses.replace(metric, compute=lambda c: 0.0))


def log_normalized(adata):
    copy = adata.copy()
    copy.X = log_normalize(adata.X)
    return copy


def test_all_metrics_of_a_perfect_generator_stand_at_the_floor(make, real, train):
    table = evaluate(real, make(160, seed=3), labels_key="cell_type", train=train, floor=make(160, seed=4))
    assert list(table.index) == list(METRICS)
    assert table.index.name == "metric"
    assert list(table.columns) == ["value", "floor", "best", "description"]
    assert table.notna().all(axis=None)
    # Four standard deviations of value - floor over draws of four new sets. MMD has its offset too: with fixed numbers
    # of each type, two sets are more alike than two draws of cells.
    tolerance = 4 * pd.Series(
        {
            "rf_auc": 0.055,
            "mmd": 0.0015,
            "mmd_per_type": 0.0015,
            "wasserstein": 0.13,
            "mixing": 0.028,
            "correlation_discrepancy": 0.13,
            "correlation_discrepancy_1norm": 0.49,
            "dropout_distance": 0.003,
            "library_size_distance": 0.02,
            "genes_per_cell_distance": 0.007,
            "label_fidelity": 0.01,
            "tstr_f1": 0.01,
            "marker_overlap": 0.027,
            "copy_ratio": 0.012,
            "membership_auc": 0.028,
        }
    )
    assert ((table.value - table.floor).abs() < tolerance[table.index]).all(), table
    given = table.best[[name for name, metric in METRICS.items() if metric.best is not None]]
    assert ((given - table.floor[given.index]).abs() < tolerance[given.index]).all(), table


def test_a_wrong_generator_is_caught(make, real):
    synthetic = make(160, seed=3)
    synthetic.X = csr_matrix(np.random.default_rng(0).permuted(synthetic.X.toarray(), axis=0))
    table = evaluate(real, synthetic, labels_key="cell_type", floor=make(160, seed=4))
    worse_above = ["rf_auc", "mmd", "mmd_per_type", "wasserstein", "correlation_discrepancy"]
    worse_below = ["mixing", "label_fidelity", "tstr_f1"]
    assert (table.value[worse_above] > 1.2 * table.floor[worse_above].abs()).all(), table
    assert (table.value[worse_below] < 0.8 * table.floor[worse_below]).all(), table
    # Shuffling cells within each gene keeps its mean and its zeros.
    assert table.value["dropout_distance"] < 0.03


def test_copies_of_training_cells_are_caught(make, real, train):
    names = ["copy_ratio", "membership_auc"]
    table = evaluate(real, train.copy(), train=train, metrics=names)
    assert table.value["copy_ratio"] < 1e-3
    # Half of real is 80 cells, so that 80 of the 200 training cells are among the copies compared: these are all
    # recognized, the others by chance.
    assert table.value["membership_auc"] == pytest.approx(0.4 * 1 + 0.6 * 0.5, abs=0.1)
    assert table.floor["membership_auc"] == pytest.approx(0.5, abs=0.1)
    assert table.floor["copy_ratio"] == pytest.approx(1, abs=0.15)


@pytest.mark.usefixtures("instant")
def test_without_labels_and_train_their_metrics_are_left_out(real, synthetic):
    table = evaluate(real, synthetic)
    assert list(table.index) == [
        name for name, m in METRICS.items() if not {*m.needs} & {"labels", "two types", "train"}
    ]


def test_metrics_come_in_the_order_asked_for(real, synthetic):
    assert list(evaluate(real, synthetic, metrics=["wasserstein", "mmd"]).index) == ["wasserstein", "mmd"]


def test_the_seed_decides_and_global_random_state_is_left_alone(real, synthetic):
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    tables = [evaluate_quickly(real, synthetic, seed=seed) for seed in (0, 0, 1)]
    assert np.array_equal(np.random.get_state()[1], before)
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert (tables[0].value != tables[2].value).any()


def test_input_is_untouched(real, synthetic, train):
    sets = [real, synthetic, train]
    before = [adata.copy() for adata in sets]
    evaluate_quickly(real, synthetic, train=train)
    for adata, copy in zip(sets, before, strict=True):
        assert (adata.X != copy.X).nnz == 0
        pd.testing.assert_frame_equal(adata.obs, copy.obs)
        assert not adata.uns
        assert not adata.obsm


def test_genes_in_another_order_and_other_formats_change_nothing(real, synthetic):
    expected = evaluate_quickly(real, synthetic)
    shuffled = synthetic[:, np.random.default_rng(0).permutation(synthetic.n_vars)].copy()
    dense = real.copy()
    dense.X = real.X.toarray().astype(np.int64)
    shuffled.X = csc_matrix(shuffled.X)
    pd.testing.assert_frame_equal(evaluate_quickly(dense, shuffled), expected)


def test_layer(real, synthetic):
    expected = evaluate_quickly(real, synthetic)
    for adata in (real, synthetic):
        adata.layers["counts"] = adata.X.copy()
        adata.X = adata.X * 0.5
    pd.testing.assert_frame_equal(evaluate_quickly(real, synthetic, layer="counts"), expected)


def test_normalized_sets_give_the_same_but_for_the_metrics_of_counts(real, synthetic):
    names = [name for name in QUICK if name != "dropout_distance"]
    expected = evaluate_quickly(real, synthetic, metrics=names)
    real, synthetic = log_normalized(real), log_normalized(synthetic)
    found = evaluate_quickly(real, synthetic, metrics=names, normalized=True)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)


@pytest.mark.usefixtures("instant")
def test_normalized_sets_leave_out_the_metrics_of_counts(real, synthetic):
    left_out = set(METRICS) - set(
        evaluate_quickly(*map(log_normalized, (real, synthetic)), metrics=None, normalized=True).index
    )
    of_counts = {"dropout_distance", "library_size_distance", "genes_per_cell_distance"}
    assert left_out == of_counts | {"copy_ratio", "membership_auc"}


def test_components_are_fitted_on_train_with_its_mean_subtracted(make, real, train):
    synthetic, floor = make(160, seed=3), make(160, seed=4)
    expression = {
        name: log_normalize(x.X).toarray() for name, x in (("train", train), ("real", real), ("s", synthetic))
    }
    mean = expression["train"].mean(axis=0)
    axes = np.linalg.svd(expression["train"] - mean, full_matrices=False)[2][:50]
    expected = wasserstein(*((expression[name] - mean) @ axes.T for name in ("real", "s")))
    table = evaluate(real, synthetic, train=train, floor=floor, metrics=["wasserstein"])
    assert table.value["wasserstein"] == pytest.approx(expected, rel=1e-3)


def test_without_train_neither_set_is_favored_by_the_components(make):
    # Components fitted on one of the two sets spread it wider: real cells would then not mix with real cells.
    table = evaluate(make(80, seed=0), make(40, seed=3), metrics=["mmd", "mixing"])
    assert (table.loc["mmd", ["value", "floor"]].astype(float).abs() < 0.015).all()
    assert (table.loc["mixing", ["value", "floor"]].astype(float) > 0.8).all()


def test_a_shift_of_all_cells_is_seen(real, make):
    # The published mistake: each set's own mean subtracted hides this.
    synthetic, floor = log_normalized(make(160, seed=3)), log_normalized(make(160, seed=4))
    synthetic.X = csr_matrix(synthetic.X.toarray() + 0.7)
    table = evaluate(log_normalized(real), synthetic, floor=floor, metrics=["mmd"], normalized=True)
    assert table.value["mmd"] > 0.03
    assert abs(table.floor["mmd"]) < 0.005


def test_both_comparisons_have_the_same_number_of_cells(real, synthetic, monkeypatch):
    sizes = []
    monkeypatch.setitem(METRICS, "sizes", Metric(lambda c: sizes.append((len(c.real), len(c.synthetic))) or 0, ""))
    evaluate(real, synthetic[:30], metrics=["sizes"])
    evaluate(real, synthetic, metrics=["sizes"])
    assert sizes == [(30, 30)] * 2 + [(80, 80)] * 2


def test_few_cells_silent_genes_and_types_of_one_set_only(make):
    real, synthetic = make(12, seed=0), make(7, seed=1)
    for adata in (real, synthetic):
        adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    real.obs.loc["0", "cell_type"] = "only here"
    synthetic.obs.loc["0", "cell_type"] = "only there"
    counts = synthetic.X.toarray()
    counts[1] = 0
    synthetic.X = csr_matrix(counts)
    table = evaluate(real, synthetic, labels_key="cell_type")
    assert table.drop(["mmd_per_type", "marker_overlap"])["value"].notna().all(), table


@pytest.mark.usefixtures("instant")
def test_one_type(real, synthetic):
    real.obs["cell_type"] = synthetic.obs["cell_type"] = "B"
    table = evaluate(real, synthetic, labels_key="cell_type")
    assert "mmd_per_type" in table.index
    assert "label_fidelity" not in table.index
    with pytest.raises(ValueError, match="'label_fidelity' needs labels_key with at least two types"):
        evaluate_quickly(real, synthetic, metrics=["label_fidelity"])


@pytest.mark.usefixtures("instant")
def test_without_the_extra_its_metrics_are_left_out_with_a_warning(real, synthetic, monkeypatch):
    monkeypatch.setattr(evaluation, "is_installed", lambda module: False)
    with pytest.warns(UserWarning, match=r"\['mixing'\] are left out.*pip install 'activa-sc\[eval\]'"):
        table = evaluate(real, synthetic)
    assert "mixing" not in table.index
    assert "mmd" in table.index
    with pytest.raises(ImportError, match=r"pip install 'activa-sc\[eval\]'"):
        evaluate(real, synthetic, metrics=["mixing"])


def test_metrics_that_cannot_be_computed_are_refused_by_name(real, synthetic):
    with pytest.raises(ValueError, match=r"unknown metrics \['fid'\]; choose from \['rf_auc'"):
        evaluate(real, synthetic, metrics=["mmd", "fid"])
    with pytest.raises(ValueError, match="'tstr_f1' needs labels_key"):
        evaluate(real, synthetic, metrics=["tstr_f1"])
    with pytest.raises(ValueError, match="'copy_ratio' needs train"):
        evaluate(real, synthetic, metrics=["copy_ratio"])
    with pytest.raises(ValueError, match="'dropout_distance' needs counts"):
        evaluate(log_normalized(real), log_normalized(synthetic), metrics=["dropout_distance"], normalized=True)


def test_bad_input_is_refused(real, synthetic, train):
    with pytest.raises(TypeError, match="synthetic must be an AnnData, got DataFrame"):
        evaluate(real, synthetic.to_df())
    with pytest.raises(TypeError, match="real must be an AnnData, got DataFrame"):
        evaluate(real.to_df(), synthetic)
    with pytest.raises(KeyError, match=r"labels_key 'type' is not in real\.obs"):
        evaluate(real, synthetic, labels_key="type")
    with pytest.raises(KeyError, match=r"layer 'counts' is not in real\.layers"):
        evaluate(real, synthetic, layer="counts")
    with pytest.raises(ValueError, match="synthetic must have the genes of real: by var_names 119 are in both"):
        evaluate(real, synthetic[:, :-1])
    with pytest.raises(ValueError, match="synthetic holds values that are not whole.*normalized=True"):
        evaluate(real, log_normalized(synthetic))
    with pytest.raises(ValueError, match="real holds whole counts, but normalized=True"):
        evaluate(real, log_normalized(synthetic), normalized=True)
    with pytest.raises(ValueError, match="there are 4 cells to compare"):
        evaluate(real, synthetic[:4])
    train.obs["cell_type"] = train.obs["cell_type"].where(train.obs_names != "3")
    with pytest.raises(ValueError, match=r"labels_key='cell_type' is missing for 1 of 200 cells of train"):
        evaluate(real, synthetic, labels_key="cell_type", train=train)


@pytest.mark.parametrize(("bad", "message"), [(-1, "negative values"), (np.nan, "not finite"), (np.inf, "not finite")])
def test_bad_values_are_refused(real, synthetic, bad, message):
    synthetic.X[0, 10] = bad
    with pytest.raises(ValueError, match=f"synthetic holds .*{message}|synthetic holds values that are {message}"):
        evaluate(real, synthetic)


def test_real_data():
    adata = sc.datasets.pbmc68k_reduced()
    expression = np.expm1(adata.raw.X.toarray())
    smallest = np.where(expression > 0, expression, np.inf).min(axis=1, keepdims=True)
    counts = ad.AnnData(csr_matrix(np.rint(expression / smallest)), obs=adata.obs[["bulk_labels"]])
    order = np.random.default_rng(0).permutation(700)
    real, synthetic = counts[order[:350]], counts[order[350:]]
    table = evaluate(real, synthetic, labels_key="bulk_labels", metrics=[*QUICK, "tstr_f1"])
    assert table.value["tstr_f1"] == pytest.approx(table.floor["tstr_f1"], abs=0.15)
    assert table.value["wasserstein"] == pytest.approx(table.floor["wasserstein"], rel=0.1)
