"""Label fidelity, train-on-synthetic-test-on-real and marker overlap: all depend on the types."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import norm, ttest_ind

from activa.data import log_normalize
from activa.metrics import label_fidelity, marker_overlap, top_markers, tstr_f1

TYPES = np.repeat(["a", "b", "c"], 50)
APART = np.eye(3).repeat(50, axis=0) * 12


@pytest.fixture
def typed(cells):
    return cells[0][:, :3] + APART, cells[1][:, :3] + APART


def test_types_apart_are_all_recognized(typed):
    real, synthetic = typed
    assert label_fidelity(real, TYPES, synthetic, TYPES) == 1
    assert tstr_f1(real, TYPES, synthetic, TYPES) == 1


def test_wrong_labels_are_caught_by_their_share(typed):
    real, synthetic = typed
    wrong = TYPES.copy()
    wrong[:15] = "b"
    wrong[50:55] = "never seen"
    assert label_fidelity(real, TYPES, synthetic, wrong) == pytest.approx(1 - 20 / 150)
    assert tstr_f1(real, TYPES, synthetic, np.roll(TYPES, 50)) == 0


def test_overlapping_types_are_recognized_as_often_as_the_best_classifier_can():
    # Types N(0, 1) and N(2, 1): the best boundary is at 1 and right with probability Phi(1).
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b"], 2000)
    real, synthetic = (rng.normal(np.where(labels == "a", 0, 2))[:, None] for _ in range(2))
    assert label_fidelity(real, labels, synthetic, labels) == pytest.approx(norm.cdf(1), abs=0.02)


def test_macro_f1_counts_a_missing_type_as_zero(typed):
    real, synthetic = typed
    kept = TYPES != "c"
    predicted_a_or_b = tstr_f1(real, TYPES, synthetic[kept], TYPES[kept])
    # c is never predicted (F1 0); its 50 cells go to a and b, whose F1 is 2 x 50 / (100 + those taken).
    bounds = [(100 / (100 + taken) + 100 / (150 - taken)) / 3 for taken in (0, 25)]
    assert min(bounds) <= predicted_a_or_b <= max(bounds)


def test_one_type_tells_nothing(typed):
    assert np.isnan(label_fidelity(typed[0][:50], TYPES[:50], typed[1], TYPES))


def test_labels_must_be_one_per_cell(typed):
    for metric in (label_fidelity, tstr_f1):
        with pytest.raises(ValueError, match=r"synthetic_labels must hold one label per cell \(150\)"):
            metric(typed[0], TYPES, typed[1], TYPES[:9])


N_MARKERS = 8


@pytest.fixture
def pair(make):
    real, synthetic = make(160, seed=0), make(90, seed=1)
    return [(log_normalize(x.X), x.obs["cell_type"].to_numpy(dtype=str)) for x in (real, synthetic)]


def markers_by_hand(expression, labels, label):
    x = expression.toarray()
    scores = [ttest_ind(gene[labels == label], gene[labels != label], equal_var=False).statistic for gene in x.T]
    return set(np.argsort(np.nan_to_num(scores))[-N_MARKERS:])


def test_markers_agree_with_the_rank_sum_test_gene_by_gene(pair):
    shares = [
        len(markers_by_hand(*pair[0], label) & markers_by_hand(*pair[1], label)) / N_MARKERS
        for label in ("B", "NK", "T")
    ]
    assert 0 < np.mean(shares) < 1
    assert marker_overlap(*pair[0], *pair[1], n_markers=N_MARKERS) == pytest.approx(np.mean(shares))


def test_markers_of_equal_sets_agree_whatever_their_form_and_order(pair):
    (expression, labels), _ = pair
    order = np.random.default_rng(0).permutation(len(labels))
    assert marker_overlap(expression, labels, expression.toarray()[order], labels[order]) == 1


def test_shuffled_types_have_no_markers_in_common_but_by_chance(make):
    sets = [make(400, seed=seed) for seed in (0, 1)]
    expression = [log_normalize(x.X) for x in sets]
    labels = [x.obs["cell_type"].to_numpy(dtype=str) for x in sets]
    shuffled = np.random.default_rng(0).permutation(labels[1])
    shuffled_overlap = marker_overlap(expression[0], labels[0], expression[1], shuffled)
    # 20 of 116 genes expressed are in common by chance
    assert shuffled_overlap < 0.4 < 0.6 < marker_overlap(expression[0], labels[0], expression[1], labels[1])


def test_types_that_are_rare_in_either_set_are_left_out(pair):
    (expression, labels), (other, other_labels) = pair
    cells = {label: min((labels == label).sum(), (other_labels == label).sum()) for label in ("B", "NK", "T")}
    smallest = min(cells, key=cells.get)
    assert cells[smallest] < min(n for label, n in cells.items() if label != smallest)

    def overlap(min_cells):
        return marker_overlap(expression, labels, other, other_labels, n_markers=N_MARKERS, min_cells=min_cells)

    shares = {
        label: len(markers_by_hand(expression, labels, label) & markers_by_hand(other, other_labels, label)) / N_MARKERS
        for label in cells
    }
    assert overlap(cells[smallest]) == pytest.approx(np.mean(list(shares.values())))
    del shares[smallest]
    assert overlap(cells[smallest] + 1) == pytest.approx(np.mean(list(shares.values())))
    assert np.isnan(overlap(min_cells=1000))


def test_marker_overlap_is_nan_if_a_set_has_one_type(pair):
    (expression, labels), (other, _) = pair
    assert np.isnan(marker_overlap(expression, labels, other, np.repeat("B", other.shape[0])))


def test_marker_overlap_needs_the_same_genes_and_one_label_per_cell(pair):
    (expression, labels), (other, other_labels) = pair
    with pytest.raises(ValueError, match="real has 120 genes and synthetic 119"):
        marker_overlap(expression, labels, csr_matrix(other[:, 1:]), other_labels)
    with pytest.raises(ValueError, match="synthetic_labels must hold one label per cell"):
        marker_overlap(expression, labels, other, labels)


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
