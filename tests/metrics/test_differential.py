"""Differential shares: each test recomputed by scipy gene by gene, and the faults that each of them finds."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import kolmogorov
from scipy.stats import false_discovery_control, ks_2samp, levene, ttest_ind

from activa.metrics.differential import differential_distance, differential_shares, p_values

TYPES = np.repeat(["B", "T", "NK"], [40, 30, 8])


def expression(seed, change=1.0):
    """Log-normalized values with many zeros; 6 of 20 genes differ in mean, 6 others in variability."""
    rng = np.random.default_rng(seed)
    x = rng.normal(2, 0.5, (len(TYPES), 20)) * (rng.random((len(TYPES), 20)) < 0.6)
    x[TYPES == "T", :6] += change
    x[TYPES == "T", 6:12] = rng.normal(1.2, 0.2 / change, (30, 6))
    return csr_matrix(x.clip(0), dtype=np.float32)


def groups(x):
    return [x.toarray()[label == TYPES] for label in ("B", "T")]


def test_p_values_agree_with_scipy_gene_by_gene():
    first, second = groups(expression(0))
    for gene, p in enumerate(p_values(first, second).T):
        x, y = (values[:, gene].astype(float) for values in (first, second))
        de = ttest_ind(x, y, equal_var=False).pvalue
        dv = levene(x, y, center="median").pvalue
        dd = kolmogorov(ks_2samp(x, y).statistic * np.sqrt(40 * 30 / 70))
        assert p == pytest.approx([de, dv, dd], rel=1e-6)


def test_ties_are_read_together():
    rng = np.random.default_rng(0)
    first, second = rng.poisson(1, (50, 30)).astype(np.float32) - 1, rng.poisson(1.4, (70, 30)).astype(np.float32) - 1
    statistics = [ks_2samp(first[:, g].astype(float), second[:, g].astype(float)).statistic for g in range(30)]
    assert p_values(first, second)[2] == pytest.approx(kolmogorov(np.array(statistics) * np.sqrt(50 * 70 / 120)))


def test_genes_that_do_not_vary_are_not_tested_and_constants_that_differ_are_found():
    first, second = np.full((12, 3), 0.1, dtype=np.float32), np.full((15, 3), 0.1, dtype=np.float32)
    second[:, 1] = 0.7
    second[0, 2] = 0.7
    p = p_values(first, second)
    assert np.isnan(p[:, 0]).all()
    assert p[0, 1] == 0
    assert p[1, 1] == 1
    assert p[2, 1] < 1e-4
    assert (p[:, 2] > 0.05).all()


def test_shares_agree_with_scipy_over_blocks_of_genes():
    x = csr_matrix(np.tile(expression(0).toarray(), 60))  # more genes than are read at once
    p = np.tile(p_values(*groups(expression(0))), 60)
    expected = (false_discovery_control(p, axis=1) < 0.01).mean(axis=1)
    assert list(differential_shares(x, TYPES, alpha=0.01).values()) == pytest.approx(expected)


def test_shares_find_what_differs_and_nothing_else():
    found = differential_shares(expression(0, change=2.0), TYPES)
    assert found["DE"] >= 0.3
    assert found["DV"] >= 0.3
    assert found["DD"] == pytest.approx(0.6, abs=0.1)
    same = np.random.default_rng(0).normal(size=(78, 200))
    assert max(differential_shares(same, TYPES).values()) < 0.02


def test_shares_are_of_the_two_largest_types_in_any_order_of_genes_and_cells():
    x, order = expression(0), np.random.default_rng(0).permutation(20)
    expected = differential_shares(x, TYPES)
    large = TYPES != "NK"
    assert differential_shares(x[large][::-1], TYPES[large][::-1]) == expected
    assert differential_shares(x[:, order].toarray(), TYPES) == expected
    assert differential_shares(x, TYPES, types=["T", "B"]) == expected
    assert differential_shares(x, TYPES, types=["NK", "B"]) != expected


def test_nothing_varies_nothing_is_found():
    assert differential_shares(csr_matrix((78, 20)), TYPES) == {"DE": 0, "DV": 0, "DD": 0}


@pytest.mark.parametrize("labels", [["B"] * 78, ["T"] + ["B"] * 77])
def test_two_types_of_two_cells_are_needed(labels):
    with pytest.raises(ValueError, match="two types of at least two cells each, got {"):
        differential_shares(expression(0), labels)


def test_distance_is_the_mean_difference_of_shares():
    real, synthetic = expression(0), expression(1, change=0.3)
    a, b = differential_shares(real, TYPES), differential_shares(synthetic, TYPES)
    expected = sum(abs(a[test] - b[test]) for test in ("DE", "DV", "DD")) / 3
    assert differential_distance(real, TYPES, synthetic, TYPES) == pytest.approx(expected)
    before = real.toarray()
    assert differential_distance(real, TYPES, real, TYPES) == 0
    assert np.array_equal(real.toarray(), before)


def test_distance_grows_as_types_are_mixed_up():
    real, rng = expression(0), np.random.default_rng(0)
    labels = TYPES.copy()
    distances = []
    for share in (0.0, 0.4, 1.0):
        mixed = np.flatnonzero(rng.random(len(labels)) < share)
        labels[mixed] = rng.permutation(labels[mixed])
        distances.append(differential_distance(real, TYPES, real, labels))
    assert distances[0] < distances[1] < distances[2]


def test_distance_compares_the_largest_types_of_real_cells():
    real, swapped = expression(0), np.where(TYPES == "NK", "T", np.where(TYPES == "T", "NK", TYPES))
    assert np.isnan(differential_distance(real, TYPES, real, swapped))  # eight cells are named T
    assert differential_distance(real, swapped, real, swapped) == 0


def test_distance_is_nan_without_two_types_of_ten_cells():
    real = expression(0)
    assert np.isnan(differential_distance(real, ["B"] * 78, real, TYPES))
    assert np.isnan(differential_distance(real, TYPES, real, ["B"] * 78))
    few = TYPES != "T"
    assert np.isnan(differential_distance(real[few], TYPES[few], real, TYPES))


def test_genes_and_labels_must_fit():
    real = expression(0)
    with pytest.raises(ValueError, match="real has 20 genes and synthetic 19"):
        differential_distance(real, TYPES, real[:, 1:], TYPES)
    with pytest.raises(ValueError, match="synthetic_labels must hold one label per cell"):
        differential_distance(real, TYPES, real, TYPES[1:])
