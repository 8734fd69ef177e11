import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import pearsonr, ttest_ind

from activa.metrics import correlation_discrepancy, top_markers


def test_agrees_with_pearson_pair_by_pair(cells):
    real, synthetic = cells[0] @ np.triu(np.ones((8, 8))), cells[1]
    n = real.shape[1]
    difference = np.array(
        [[pearsonr(real[:, i], real[:, j])[0] - pearsonr(synthetic[:, i], synthetic[:, j])[0] for i in range(n)]
         for j in range(n)]
    )  # fmt: skip
    upper = sum(difference[i, j] ** 2 for i in range(n) for j in range(i + 1, n))
    assert correlation_discrepancy(real, synthetic) == pytest.approx(np.sqrt(upper))
    assert correlation_discrepancy(real, synthetic, norm="one") == pytest.approx(np.linalg.norm(difference, 1))


@pytest.mark.parametrize("norm", ["frobenius", "one"])
def test_is_zero_for_equal_correlations_and_symmetric(cells, norm):
    assert correlation_discrepancy(cells[0], cells[0] * 3 + 5, norm=norm) == pytest.approx(0, abs=1e-12)
    forth, back = correlation_discrepancy(*cells, norm=norm), correlation_discrepancy(*cells[::-1], norm=norm)
    assert forth > 0
    assert forth == pytest.approx(back)


def test_catches_genes_made_independent(cells):
    real, second = (x @ np.triu(np.ones((8, 8))) for x in cells)
    shuffled = np.random.default_rng(0).permuted(second, axis=0)
    assert correlation_discrepancy(real, shuffled) > 5 * correlation_discrepancy(real, second)


def test_a_constant_gene_correlates_with_nothing(cells):
    real, synthetic = cells[0].copy(), cells[1].copy()
    real[:, 0] = 0.1  # its mean is not exact in floating point
    without = correlation_discrepancy(real[:, 1:], synthetic[:, 1:])
    lost = np.corrcoef(synthetic.T)[0, 1:]
    assert correlation_discrepancy(real, synthetic) == pytest.approx(np.sqrt(without**2 + (lost**2).sum()))
    synthetic[:, 0] = 0
    assert correlation_discrepancy(real, synthetic) == pytest.approx(without)


def test_one_gene_has_no_pair(cells):
    assert np.isnan(correlation_discrepancy(cells[0][:, :1], cells[1][:, :1]))


def test_markers_have_the_largest_welch_t(cells):
    expression = cells[0].copy()
    labels = np.repeat(["a", "b", "c"], 50)
    expression[:, 7] = 1
    expected = set()
    for label in "abc":
        inside = labels == label
        t = ttest_ind(expression[inside, :7], expression[~inside, :7], equal_var=False).statistic
        expected |= set(np.argsort(-t)[:2])
    assert top_markers(expression, labels, n_markers=2).tolist() == sorted(expected)
    assert top_markers(csr_matrix(expression), labels, n_markers=2).tolist() == sorted(expected)


def test_markers_skip_a_type_with_one_cell(cells):
    labels = np.repeat(["a", "b", "c"], [100, 49, 1])
    assert len(top_markers(cells[0], labels, n_markers=1)) <= 2


def test_markers_need_two_types(cells):
    with pytest.raises(ValueError, match="labels name 1 type"):
        top_markers(cells[0], ["a"] * 150)
