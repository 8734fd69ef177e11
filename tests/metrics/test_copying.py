import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu

from activa.metrics import copy_ratio, membership_auc


@pytest.fixture
def sets():
    train, held_out, fresh = np.random.default_rng(0).normal(size=(3, 200, 6))
    return train, held_out, fresh


def test_agree_with_brute_force(sets):
    train, held_out, fresh = sets
    synthetic = fresh[:80] * 0.9
    ratio = np.median(cdist(synthetic, train).min(axis=1)) / np.median(cdist(held_out, train).min(axis=1))
    assert copy_ratio(train, held_out, synthetic) == pytest.approx(ratio)
    members, others = (cdist(x, synthetic).min(axis=1) for x in (train, held_out))
    auc = mannwhitneyu(-members, -others).statistic / (len(train) * len(held_out))
    assert membership_auc(train, held_out, synthetic) == pytest.approx(auc)


def test_fresh_cells_are_no_copies(sets):
    assert copy_ratio(*sets) == pytest.approx(1, abs=0.1)
    assert membership_auc(*sets) == pytest.approx(0.5, abs=0.07)
    train, held_out, _ = sets
    assert copy_ratio(train, held_out, held_out) == 1


@pytest.mark.parametrize(("noise", "limit"), [(0, 1e-6), (0.1, 0.35)])
def test_copies_are_caught(sets, noise, limit):
    train, held_out, fresh = sets
    copies = train + noise * fresh
    assert copy_ratio(train, held_out, copies) < limit
    assert membership_auc(train, held_out, copies) > 0.95


def test_far_cells_are_above_one(sets):
    train, held_out, fresh = sets
    assert copy_ratio(train, held_out, fresh + 10) > 3


def test_held_out_cells_must_not_be_training_cells(sets):
    with pytest.raises(ValueError, match="half or more of the held-out cells are found in train"):
        copy_ratio(sets[0], sets[0][:50], sets[2])
