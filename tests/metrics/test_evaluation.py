import dataclasses

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy.sparse import csc_matrix, csr_matrix

from activa.data import log_normalize
from activa.metrics import METRICS, Metric, evaluate, evaluation

pytestmark = pytest.mark.usefixtures("small_forests")

COLUMNS = [
    *("value", "low", "high", "floor", "floor_low", "floor_high"),
    *("best", "deviation", "judgment", "description"),
]
QUICK = ["mmd", "wasserstein", "correlation_discrepancy", "dropout_distance", "label_fidelity"]


def evaluate_quickly(*args, **kwargs):
    return evaluate(*args, **{"labels_key": "cell_type", "metrics": QUICK} | kwargs)


@pytest.fixture
def instant(monkeypatch):
    """Metrics that take no time, for tests of which are chosen."""
    for name, metric in METRICS.items():
        monkeypatch.setitem(METRICS, name, dataclasses.replace(metric, compute=lambda c: 0.0, detects=False))


def log_normalized(adata):
    copy = adata.copy()
    copy.X = log_normalize(adata.X)
    return copy


def test_all_metrics_find_other_real_cells_as_real(make, real, train):
    table = evaluate(real, make(160, seed=5), labels_key="cell_type", train=train)
    assert list(table.index) == list(METRICS)
    assert table.index.name == "metric"
    assert list(table.columns) == COLUMNS
    assert table.notna().all(axis=None)
    assert (table.judgment == "as real").all(), table
    assert ((table.low <= table.value) & (table.value <= table.high)).all(), table
    assert ((table.floor_low <= table.floor) & (table.floor <= table.floor_high)).all(), table
    assert (table.deviation.abs() < 3.5).all(), table
    given = table.best[[name for name, metric in METRICS.items() if metric.best is not None]]
    widths = (table.floor_high - table.floor_low)[given.index]
    assert ((given - table.floor[given.index]).abs() < 2 * widths).all(), table


def test_a_wrong_generator_is_caught(make, real):
    synthetic = make(160, seed=3)
    synthetic.X = csr_matrix(np.random.default_rng(0).permuted(synthetic.X.toarray(), axis=0))
    table = evaluate(real, synthetic, labels_key="cell_type")
    worse_above = ["rf_auc", "mmd", "mmd_per_type", "wasserstein", "correlation_discrepancy"]
    worse_below = ["mixing", "label_fidelity", "tstr_f1", "marker_overlap"]
    assert (table.value[worse_above] > 1.2 * table.floor[worse_above].abs()).all(), table
    assert (table.value[worse_below] < 0.8 * table.floor[worse_below]).all(), table
    assert (table.judgment[worse_above] == "unlike real").all(), table
    # Shuffling cells within each gene keeps its mean and its zeros.
    assert table.value["dropout_distance"] < 0.03
    assert table.judgment["gene_mean_distance"] == table.judgment["gene_zeros_distance"] == "as real"


def test_copies_of_training_cells_are_caught(real, train):
    table = evaluate(real, train[:160].copy(), train=train, metrics=["copy_ratio", "membership_auc", "overfitting"])
    assert table.value["copy_ratio"] < 1e-3
    assert table.value["overfitting"] > 0.1
    assert (table.judgment == "unlike real").all(), table
    assert table.floor["membership_auc"] == pytest.approx(0.5, abs=0.15)
    assert table.floor["copy_ratio"] == pytest.approx(1, abs=0.15)


def test_training_cells_change_no_figure_but_add_some(real, synthetic, train):
    names = ["rf_auc", "mmd", "label_fidelity"]
    expected = evaluate_quickly(real, synthetic, metrics=names)
    found = evaluate_quickly(real, synthetic, metrics=[*names, "copy_ratio"], train=train)
    pd.testing.assert_frame_equal(found.loc[names], expected)


def test_the_interval_covers_what_other_seeds_and_more_cells_give(make):
    names = ["rf_auc", "wasserstein", "library_size_distance"]
    tables = [evaluate_quickly(make(160, seed=s), make(160, seed=s + 50), metrics=names) for s in range(12)]
    mean = sum(table.value for table in tables) / len(tables)
    covered = pd.DataFrame({i: (t.low < mean) & (mean < t.high) for i, t in enumerate(tables)})
    assert (covered.mean(axis=1) > 0.7).all(), covered


def test_floors_of_classifiers_are_chance_even_where_types_are_even(make):
    """Halves of the same number of each type would put a forest below it."""
    floors = [
        evaluate_quickly(make(100, seed=s), make(100, seed=9), metrics=["rf_auc"]).floor.iloc[0] for s in range(6)
    ]
    assert np.mean(floors) == pytest.approx(0.5, abs=0.04)


def test_several_generators_have_one_table(make, real):
    sets = {"first": make(120, seed=3), "second": make(90, seed=4)}
    table = evaluate_quickly(real, sets, metrics=["mmd", "library_size_distance"])
    assert table.index.names == ["generator", "metric"]
    for name, cells in sets.items():
        alone = evaluate_quickly(real, cells, metrics=["mmd", "library_size_distance"])
        pd.testing.assert_frame_equal(table.loc[name], alone)
    with pytest.raises(ValueError, match="at least one generator"):
        evaluate(real, {})
    with pytest.raises(ValueError, match="must not name a generator 'train'"):
        evaluate(real, {"train": sets["first"]})


class Model:
    """A generator of the test's cells, which is fitted again to fewer of them: its dispersion is then smaller."""

    def __init__(self, make, dispersion=2.0):
        self.make, self.dispersion = make, dispersion

    def generate(self, n=None, *, labels=None, seed=None):
        return self.make(len(labels) if n is None else n, seed=10 + seed, dispersion=self.dispersion)

    def refit(self, *, seed=None):
        return Model(self.make, dispersion=0.7)


def test_the_refit_floor_compares_the_model_with_itself_fitted_again(make, real):
    model = Model(make)
    synthetic = model.generate(160, seed=0)
    names = ["rf_auc", "profile_auc", "mmd"]
    table = evaluate_quickly(real, synthetic, metrics=names, model=model)
    assert list(table.columns) == [*COLUMNS[:6], "refit", "refit_low", "refit_high", *COLUMNS[6:]]
    pd.testing.assert_frame_equal(table[COLUMNS], evaluate_quickly(real, synthetic, metrics=names))
    # here the refit misses more than the model does
    assert table.refit["profile_auc"] > table.value["profile_auc"] + 0.1
    assert table.refit_low["profile_auc"] < table.refit["profile_auc"] < table.refit_high["profile_auc"]


def test_other_types_and_proportions_are_told(make, real):
    synthetic = make(160, seed=3)
    fewer = synthetic[(synthetic.obs["cell_type"] != "T") | (np.arange(160) % 4 == 0)].copy()
    with pytest.warns(UserWarning, match="not in the real proportions"):
        evaluate_quickly(real, fewer, metrics=["mmd"])
    synthetic.obs["cell_type"] = "X" + synthetic.obs["cell_type"].astype(str)
    with pytest.warns(UserWarning, match="No type of the synthetic cells is a type of the real ones"):
        evaluate_quickly(real, synthetic, metrics=["mmd"])


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
    assert left_out == {name for name, metric in METRICS.items() if {"counts", "train"} & {*metric.needs}}


def test_neither_set_is_favored_by_the_components(make):
    # Components fitted on one of the two sets spread it wider: real cells would then not mix with real cells.
    table = evaluate(make(80, seed=0), make(40, seed=3), metrics=["mmd", "mixing"])
    assert (table.loc["mmd", ["value", "floor"]].astype(float).abs() < 0.015).all()
    assert (table.loc["mixing", ["value", "floor"]].astype(float) > 0.8).all()


def test_a_shift_of_all_cells_is_seen(real, make):
    # The published mistake: each set's own mean subtracted hides this.
    synthetic = log_normalized(make(160, seed=3))
    synthetic.X = csr_matrix(synthetic.X.toarray() + 0.7)
    table = evaluate(log_normalized(real), synthetic, metrics=["mmd"], normalized=True)
    assert table.value["mmd"] > 0.03
    assert abs(table.floor["mmd"]) < 0.005


def test_both_comparisons_have_the_same_number_of_cells(real, synthetic, monkeypatch):
    sizes = set()
    monkeypatch.setitem(METRICS, "sizes", Metric(lambda c: sizes.add((len(c.real), len(c.synthetic))) or 0, ""))
    evaluate(real, synthetic[:30], metrics=["sizes"])
    assert sizes == {(15, 15)}
    sizes.clear()
    evaluate(real, synthetic, metrics=["sizes"])
    assert sizes == {(45, 45)}


def test_few_cells_silent_genes_and_types_of_one_set_only(make):
    real, synthetic = make(14, seed=0), make(10, seed=1)
    for adata in (real, synthetic):
        adata.obs["cell_type"] = adata.obs["cell_type"].astype(str)
    real.obs.loc["0", "cell_type"] = "only here"
    synthetic.obs.loc["0", "cell_type"] = "only there"
    counts = synthetic.X.toarray()
    counts[1] = 0
    synthetic.X = csr_matrix(counts)
    with pytest.warns(UserWarning, match="without synthetic cells: only here|without real cells: only there"):
        table = evaluate(real, synthetic, labels_key="cell_type")
    few = ["mmd_per_type", "marker_overlap", "differential_distance"]  # which need ten cells of a type
    assert table.drop(few)["value"].notna().all(), table
    assert (table.judgment[few] == "not computed").all(), table


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
    with pytest.raises(ValueError, match="there are 4 cells to compare; give 10 in real and synthetic"):
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
    table = evaluate(real, synthetic, labels_key="bulk_labels", metrics=[*QUICK, "rf_auc", "profile_auc", "tstr_f1"])
    assert (table.judgment == "as real").all(), table
