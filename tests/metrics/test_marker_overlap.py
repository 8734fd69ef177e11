import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import ranksums

from activa.data import log_normalize
from activa.metrics import marker_overlap

N_MARKERS = 8


@pytest.fixture
def pair(make):
    real, synthetic = make(160, seed=0), make(90, seed=1)
    return [(log_normalize(x.X), x.obs["cell_type"].to_numpy(dtype=str)) for x in (real, synthetic)]


def markers_by_hand(expression, labels, label):
    x = expression.toarray()
    scores = [ranksums(gene[labels == label], gene[labels != label]).statistic for gene in x.T]
    return set(np.argsort(scores)[-N_MARKERS:])


def test_agrees_with_the_rank_sum_test_gene_by_gene(pair):
    shares = [
        len(markers_by_hand(*pair[0], label) & markers_by_hand(*pair[1], label)) / N_MARKERS
        for label in ("B", "NK", "T")
    ]
    assert 0 < np.mean(shares) < 1
    assert marker_overlap(*pair[0], *pair[1], n_markers=N_MARKERS) == pytest.approx(np.mean(shares))


def test_equal_sets_agree_whatever_their_form_and_order(pair):
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


def test_is_nan_where_a_set_has_one_type(pair):
    (expression, labels), (other, _) = pair
    assert np.isnan(marker_overlap(expression, labels, other, np.repeat("B", other.shape[0])))


def test_genes_and_labels_must_fit(pair):
    (expression, labels), (other, other_labels) = pair
    with pytest.raises(ValueError, match="real has 120 genes and synthetic 119"):
        marker_overlap(expression, labels, csr_matrix(other[:, 1:]), other_labels)
    with pytest.raises(ValueError, match="synthetic_labels must hold one label a cell"):
        marker_overlap(expression, labels, other, labels)
