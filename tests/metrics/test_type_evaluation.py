import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from activa.metrics import evaluate, evaluate_types, mmd
from activa.metrics.type_evaluation import mmd_test


@pytest.fixture
def with_rare(make):
    """Sets with 4 cells of a type that the synthetic set has too few of, and 8 of one of which it has as many."""

    def rare(seed):
        cells = make(168, seed=seed)
        labels = cells.obs["cell_type"].astype(str).to_numpy()
        labels[:4], labels[4:12] = "four", "eight"
        cells.obs["cell_type"] = labels
        return cells

    return rare


def test_cells_of_one_distribution_are_as_real_and_few_cells_tell_nothing(with_rare):
    real = with_rare(0)
    table = evaluate_types(real, with_rare(1), labels_key="cell_type")
    assert table.index.tolist() == ["B", "NK", "T", "eight", "four"]
    assert table.index.name == "type"
    assert table.loc[["B", "NK", "T"], "judgment"].eq("as real").all(), table
    assert table.loc["eight", "judgment"] == "cannot tell"
    assert table.loc["four", "judgment"] == "too few cells"
    assert table.loc["four", ["mmd", "mmd_floor", "library_size", "genes"]].isna().all()
    assert table.loc["eight", ["mmd", "recognized", "recognized_real", "library_size"]].notna().all()
    assert table["real"].to_dict() == real.obs["cell_type"].value_counts().to_dict()
    sides = table[["recognized_low", "recognized", "recognized_high"]]
    assert (sides.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)


def test_a_wrong_type_is_unlike_real_cells_and_the_others_are_not(make):
    real, synthetic = make(200, seed=0), make(200, seed=1)
    counts = synthetic.X.toarray()
    of_type = (synthetic.obs["cell_type"] == "T").to_numpy()
    counts[of_type] = np.random.default_rng(0).permuted(counts[of_type], axis=1)
    synthetic.X = csr_matrix(counts)
    table = evaluate_types(real, synthetic, labels_key="cell_type")
    assert table["judgment"].to_dict() == {"B": "as real", "NK": "as real", "T": "unlike real"}
    assert table.loc["T", "mmd"] > 5 * table.loc["T", "mmd_floor"]
    assert table.loc["T", "recognized"] < 0.5 < table.loc["T", "recognized_real"]


def test_types_that_change_places_are_found(make):
    real, synthetic = make(200, seed=0), make(200, seed=1)
    synthetic.obs["cell_type"] = synthetic.obs["cell_type"].astype(str).replace({"T": "NK", "NK": "T"})
    table = evaluate_types(real, synthetic, labels_key="cell_type")
    assert table["judgment"].to_dict() == {"B": "as real", "NK": "unlike real", "T": "unlike real"}
    assert table.loc["T", "recognized"] < 0.1


def test_recognition_is_that_of_the_table_of_metrics(make):
    real, synthetic = make(120, seed=0, dispersion=0.3), make(120, seed=1, dispersion=0.3)
    types = evaluate_types(real, synthetic, labels_key="cell_type", seed=3)
    metrics = evaluate(real, synthetic, labels_key="cell_type", metrics=["label_fidelity"], seed=3)
    for column, n, figure in (("recognized", "synthetic", "value"), ("recognized_real", "real", "floor")):
        mean = np.average(types[column], weights=types[n])
        assert mean == pytest.approx(metrics.loc["label_fidelity", figure], abs=0.01)


def test_recognition_by_halves_is_that_of_a_classifier_on_other_halves(make):
    """An independent computation of what is recognized of real cells, from other splits."""
    real = make(300, seed=0, dispersion=0.3)
    found = evaluate_types(real, make(300, seed=1, dispersion=0.3), labels_key="cell_type")
    x = real.X.toarray()
    x = np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))
    labels, shares = real.obs["cell_type"].to_numpy(dtype=str), []
    for seed in range(6):
        order = np.random.default_rng(seed).permutation(300)
        fitted = LogisticRegression(max_iter=2000).fit(x[order[:150]], labels[order[:150]])
        shares.append((fitted.predict(x[order[150:]]) == labels[order[150:]]).mean())
    assert np.average(found["recognized_real"], weights=found["real"]) == pytest.approx(np.mean(shares), abs=0.08)


def test_batches_are_judged_like_types(make):
    real, synthetic = make(120, seed=0), make(120, seed=1)
    for cells in (real, synthetic):
        cells.obs["batch"] = np.repeat(["one", "two"], 60)
    assert evaluate_types(real, synthetic, labels_key="batch").index.tolist() == ["one", "two"]


def test_the_permutation_test_has_its_level_and_its_figure():
    rng = np.random.default_rng(0)
    p_values = [mmd_test(*rng.normal(size=(2, 15, 3)), seed)["p_value"] for seed in range(100)]
    assert 0.01 <= np.mean(np.array(p_values) < 0.1) <= 0.19
    real, synthetic = rng.normal(size=(40, 3)), rng.normal(0.8, size=(30, 3))
    found = mmd_test(real, synthetic, 0)
    # the kernel's width is of both sets here, and of the real cells there
    assert found["mmd"] == pytest.approx(mmd(real, synthetic), rel=0.3)
    assert found["p_value"] < 0.05 and 0 < found["mmd_floor"] < found["mmd"]


def test_the_interval_is_that_of_wilson(make):
    table = evaluate_types(make(120, seed=0, dispersion=0.3), make(120, seed=1, dispersion=0.3), labels_key="cell_type")
    z, row = norm.ppf(0.975), table.loc["B"]
    n, p = row["synthetic"], row["recognized"]
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    assert (row["recognized_low"], row["recognized_high"]) == pytest.approx((middle - reach, middle + reach))


def test_seeded_and_refused(make, real):
    tables = [evaluate_types(real, make(90, seed=1), labels_key="cell_type", seed=2) for _ in range(2)]
    pd.testing.assert_frame_equal(*tables)
    with pytest.raises(KeyError, match="labels_key 'donor' is not in real"):
        evaluate_types(real, real, labels_key="donor")
