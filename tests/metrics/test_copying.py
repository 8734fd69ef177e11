import numpy as np
import pytest
from scipy.sparse import csc_matrix, csr_matrix
from scipy.spatial.distance import cdist
from scipy.stats import mannwhitneyu
from sklearn.metrics import roc_curve

from activa.metrics import copy_ratio, membership_auc
from activa.metrics.copying import chance_tpr
from activa.metrics.privacy import close_share, dcr_share, donor_auc, exact_copies, membership_tpr, nndr, tpr_at_fpr


def test_agree_with_brute_force(points):
    train, held_out, fresh = points
    synthetic = fresh[:80] * 0.9
    ratio = np.median(cdist(synthetic, train).min(axis=1)) / np.median(cdist(held_out, train).min(axis=1))
    assert copy_ratio(train, held_out, synthetic) == pytest.approx(ratio)
    members, others = (cdist(x, synthetic).min(axis=1) for x in (train, held_out))
    auc = mannwhitneyu(-members, -others).statistic / (len(train) * len(held_out))
    assert membership_auc(train, held_out, synthetic) == pytest.approx(auc)


def test_fresh_cells_are_no_copies(points):
    assert copy_ratio(*points) == pytest.approx(1, abs=0.1)
    assert membership_auc(*points) == pytest.approx(0.5, abs=0.07)
    train, held_out, _ = points
    assert copy_ratio(train, held_out, held_out) == 1


@pytest.mark.parametrize(("noise", "limit"), [(0, 1e-6), (0.1, 0.35)])
def test_copies_are_caught(points, noise, limit):
    train, held_out, fresh = points
    copies = train + noise * fresh
    assert copy_ratio(train, held_out, copies) < limit
    assert membership_auc(train, held_out, copies) > 0.95


def test_far_cells_are_above_one(points):
    train, held_out, fresh = points
    assert copy_ratio(train, held_out, fresh + 10) > 3


def test_held_out_cells_must_not_be_training_cells(points):
    with pytest.raises(ValueError, match="half or more of the held-out cells are found in train"):
        copy_ratio(points[0], points[0][:50], points[2])


def test_shares_and_ratios_agree_with_brute_force(points):
    train, held_out, fresh = points
    synthetic = 0.8 * fresh[:70]
    to_train, to_held_out = cdist(synthetic, train), cdist(synthetic, held_out)
    # equal sets: the plain share
    expected = (to_train.min(axis=1) < to_held_out.min(axis=1)).mean()
    assert dcr_share(train, held_out, synthetic) == pytest.approx(expected)
    first, second = np.sort(to_train, axis=1)[:, :2].T
    assert nndr(train, synthetic) == pytest.approx(np.median(first / second))
    limit = np.quantile(cdist(held_out, train).min(axis=1), 0.1)
    assert close_share(train, held_out, synthetic, quantile=0.1) == pytest.approx((first < limit).mean())


def test_copies_are_caught_and_fresh_cells_are_not(points):
    train, held_out, fresh = points
    assert dcr_share(train, held_out, train) == 1
    assert dcr_share(train, held_out, held_out) == 0
    assert close_share(train, held_out, train) == 1
    assert nndr(train, train) < 1e-6
    assert dcr_share(train, held_out, fresh) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(200))
    assert close_share(train, held_out, fresh) == pytest.approx(0.05, abs=0.06)


def test_other_numbers_of_training_and_held_out_cells_keep_the_best_at_a_half():
    rng = np.random.default_rng(0)
    train, held_out, synthetic = rng.normal(size=(900, 4)), rng.normal(size=(150, 4)), rng.normal(size=(2_000, 4))
    assert dcr_share(train, held_out, synthetic) == pytest.approx(0.5, abs=0.08)


def test_a_few_copies_among_many_new_cells_are_counted(points):
    train, held_out, fresh = points
    some = np.vstack([train[:20], fresh[:180]])
    share = close_share(train, held_out, some) - 0.9 * close_share(train, held_out, fresh[:180])
    assert share == pytest.approx(0.1)


def test_order_does_not_matter(points):
    train, held_out, synthetic = points
    again = [x[np.random.default_rng(1).permutation(len(x))] for x in points]
    for metric in (dcr_share, close_share):
        assert metric(*again) == pytest.approx(metric(train, held_out, synthetic))
    assert nndr(again[0], again[2]) == pytest.approx(nndr(train, synthetic))


def test_exact_copies_are_counted_however_they_are_stored():
    rng = np.random.default_rng(0)
    train = rng.poisson(1.0, size=(50, 30))
    synthetic = np.vstack([train[:5], rng.poisson(1.0, size=(15, 30))])
    expected = np.mean([(row == train).all(axis=1).any() for row in synthetic])
    assert expected >= 0.25
    explicit_zeros = csr_matrix(synthetic)
    explicit_zeros.data[:3] = 0
    for form in (csr_matrix, csc_matrix, np.asarray):
        assert exact_copies(train, form(synthetic)) == expected
    assert exact_copies(csr_matrix(train), explicit_zeros) == exact_copies(train, explicit_zeros.toarray())


def test_bad_input_is_refused(points):
    train, held_out, fresh = points
    with pytest.raises(ValueError, match="quantile must be above 0 and below 1"):
        close_share(train, held_out, fresh, quantile=0)
    with pytest.raises(ValueError, match="features"):
        dcr_share(train, held_out, fresh[:, :2])
    with pytest.raises(ValueError, match="at least 2"):
        nndr(train[:1], fresh)
    with pytest.raises(ValueError, match="train has 6 genes and synthetic 2"):
        exact_copies(train, fresh[:, :2])
    with pytest.raises(ValueError, match="no cell"):
        exact_copies(train, fresh[:0])


@pytest.mark.parametrize("fpr", [0.01, 0.05, 0.3])
def test_it_is_a_point_of_the_roc_curve(fpr):
    rng = np.random.default_rng(0)
    members, others = rng.normal(0.5, 1, size=300), rng.normal(size=200)
    is_member = np.repeat([1, 0], [300, 200])
    rates, found, _ = roc_curve(is_member, np.concatenate([members, others]), drop_intermediate=False)
    assert tpr_at_fpr(members, others, fpr=fpr) == found[rates <= fpr + 1e-12].max()


def test_too_few_others_allow_no_false_accusation():
    assert tpr_at_fpr([3, 2, 1], [2, 0], fpr=0.01) == pytest.approx(1 / 3)


def test_ties_are_no_finds():
    assert tpr_at_fpr([1, 1], [1, 1]) == 0


def test_chance_is_what_ignorance_gives_on_average():
    rng = np.random.default_rng(0)
    found = [tpr_at_fpr(*rng.normal(size=(2, 150)), fpr=0.02) for _ in range(400)]
    assert np.mean(found) == pytest.approx(chance_tpr(150, 0.02), abs=4 * np.std(found) / 20)


def test_a_few_that_are_given_away_are_found(points):
    train, held_out, fresh = points
    published = np.vstack([train[:20], 3 + fresh])
    assert membership_tpr(train, held_out, published) == pytest.approx(0.1, abs=0.02)
    assert membership_tpr(train, held_out, fresh) < 0.06


def test_donors_are_told_by_the_mean_of_their_cells():
    scores = [0.0, 1.0, 0.2, 0.3, 5.0, -9.0, 0.1, 0.1]
    donors = ["a", "a", "b", "b", "c", "c", "d", "d"]
    # means 0.5, 0.25 in; -2, 0.1 out
    assert donor_auc(scores, donors, [True] * 4 + [False] * 4) == 1
    assert donor_auc(scores, donors, [True, True, False, False] + [True, True, False, False]) == 0.5


def test_bad_scores_and_donors_are_refused(points):
    train, held_out, fresh = points
    with pytest.raises(ValueError, match="fpr must be above 0 and below 1"):
        membership_tpr(train, held_out, fresh, fpr=1)
    with pytest.raises(ValueError, match="members must be finite scores"):
        tpr_at_fpr([np.nan], [1])
    with pytest.raises(ValueError, match="others must be finite scores"):
        tpr_at_fpr([1], [])
    with pytest.raises(ValueError, match=r"donors \['a'\] have cells both in the training set and out"):
        donor_auc([1, 2, 3], ["a", "a", "b"], [True, False, False])
    with pytest.raises(ValueError, match="1 donors in the training set and 2 out of it"):
        donor_auc([1, 2, 3], ["a", "b", "c"], [True, False, False])
    with pytest.raises(ValueError, match="donors must hold one label per cell"):
        donor_auc([1, 2], ["a"], [True, False])
