import functools

import anndata as ad
import numpy as np
import pytest
import scanpy as sc
import torch
from scipy.sparse import csr_matrix

import activa
from activa.data import halves, log_normalize, subsample
from activa.metrics import copy_ratio, correlation_discrepancy, membership_auc, mixing, mmd, rf_auc, wasserstein

LABELS = np.repeat(["a", "b", "c", "d"], [50, 25, 8, 1])


@pytest.mark.parametrize("size", [1, 7, 40, 83])
def test_subsample_keeps_proportions_to_within_a_cell(size):
    picked = subsample(len(LABELS), size, np.random.default_rng(0), LABELS)
    assert len(np.unique(picked)) == size
    for label in np.unique(LABELS):
        expected = size * np.mean(LABELS == label)
        assert abs((LABELS[picked] == label).sum() - expected) <= 1


def test_subsample_draws_every_cell_equally_often():
    rng = np.random.default_rng(0)
    times = np.bincount(np.concatenate([subsample(84, 20, rng, LABELS) for _ in range(2000)]), minlength=84)
    np.testing.assert_allclose(times / 2000, 20 / 84, atol=0.05)


def test_subsample_takes_all_cells_where_there_are_no_more():
    assert subsample(5, 9, np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("labels", [None, LABELS])
def test_halves_partition_the_cells(labels):
    first, second = halves(len(LABELS), np.random.default_rng(0), labels)
    assert sorted([*first, *second]) == list(range(len(LABELS)))
    assert abs(len(first) - len(second)) <= 1


def test_halves_split_each_type_evenly():
    first, second = halves(len(LABELS), np.random.default_rng(0), LABELS)
    for label in np.unique(LABELS):
        assert abs((LABELS[first] == label).sum() - (LABELS[second] == label).sum()) <= 1


def test_the_seed_decides():
    draws = [subsample(100, 10, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])


def test_log_normalize_is_log1p_of_cp10k():
    counts = csr_matrix(np.array([[1, 3, 0], [0, 0, 0], [5, 0, 5]]))
    expected = np.log1p(np.array([[2500, 7500, 0], [0, 0, 0], [5000, 0, 5000]]))
    np.testing.assert_allclose(log_normalize(counts).toarray(), expected, rtol=1e-6)
    assert counts.sum() == 14


PAIRS = [correlation_discrepancy, mixing, mmd, functools.partial(rf_auc, n_repeats=1), wasserstein]
GOOD = np.random.default_rng(0).normal(size=(10, 3))


@pytest.mark.parametrize("metric", PAIRS)
@pytest.mark.parametrize(
    ("synthetic", "message"),
    [
        (GOOD[:, 0], "synthetic must be a matrix"),
        (GOOD[:1], r"synthetic has 1 cell\(s\)"),
        (GOOD[:, :2], "real has 3 features and synthetic 2"),
        (np.where(GOOD > 1, np.nan, GOOD), "synthetic has values that are not finite"),
    ],
)
def test_bad_arrays_are_refused(metric, synthetic, message):
    with pytest.raises(ValueError, match=message):
        metric(GOOD, synthetic)


@pytest.mark.parametrize("metric", [*PAIRS, lambda x, y: copy_ratio(x, y, y), lambda x, y: membership_auc(x, y, y)])
def test_arrays_and_global_random_state_stay_as_they_were(metric):
    x, y = GOOD.copy(), GOOD + 1
    x.flags.writeable = y.flags.writeable = False
    np.random.seed(7)
    metric(x, y)
    after = np.random.random()
    np.random.seed(7)
    assert np.random.random() == after
    assert np.array_equal(x, GOOD)


def test_log_normalize_is_scanpys_bit_for_bit_and_leaves_the_threads_alone():
    counts = activa.datasets.pbmc68k_reduced().X.astype(np.float32)
    adata = ad.AnnData(counts.copy())
    n_threads = torch.get_num_threads()
    found = log_normalize(counts)
    assert torch.get_num_threads() == n_threads
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    assert (found != adata.X).nnz == 0
    empty = log_normalize(csr_matrix(np.array([[1, 3, 0], [0, 0, 0]])))
    assert not empty[1].nnz and np.isfinite(empty.data).all()
