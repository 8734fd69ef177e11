import numpy as np
import pytest
from sklearn.metrics import roc_curve

from activa.metrics.privacy import donor_auc, membership_tpr, tpr_at_fpr
from activa.metrics.privacy.attacks import chance_tpr


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


def test_bad_input_is_refused(points):
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
