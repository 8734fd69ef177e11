import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from activa import losses


@pytest.fixture
def terms():
    torch.manual_seed(0)
    return [torch.rand(7) * 10 for _ in range(4)]


def test_regularization_is_the_kl_from_the_standard_normal():
    torch.manual_seed(0)
    mu, log_var = torch.randn(6, 4), torch.randn(6, 4)
    expected = kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(torch.zeros(()), torch.ones(()))).sum(-1)
    torch.testing.assert_close(losses.regularization(mu, log_var), expected)


def test_hinge_encoder_equals_the_paper(terms):
    r, g, *_ = terms
    m = 6.0
    batch = 0.5 * sum(max(m - float(s.mean()), 0) for s in (r, g))
    assert float(losses.hinge_encoder([r, g], m)) == pytest.approx(batch, rel=1e-5)
    cells = 0.5 * sum(sum(max(m - float(v), 0) for v in s) / len(s) for s in (r, g))
    assert float(losses.hinge_encoder([r, g], m, per_cell=True)) == pytest.approx(cells, rel=1e-5)
    assert cells > batch  # Jensen: the two forms differ


def test_hinge_encoder_stops_at_the_margin():
    reg = torch.tensor([10.0, 12.0], requires_grad=True)
    losses.hinge_encoder([reg, reg], margin=5.0).backward()
    assert not reg.grad.any()


def test_hinge_generator_equals_the_paper(terms):
    r, g, *_ = terms
    assert float(losses.hinge_generator([r, g])) == pytest.approx(0.5 * (float(r.mean()) + float(g.mean())), rel=1e-5)


def test_soft_encoder_equals_soft_introvae(terms):
    rec_r, rec_g, kl_r, kl_g = terms
    s = 0.05
    expected = 0.0
    for rec, kl in ((rec_r, kl_r), (rec_g, kl_g)):
        for a, b in zip(rec.tolist(), kl.tolist(), strict=True):
            expected += 2.718281828459045 ** (-2 * s * (a + b)) / len(rec) / 4
    found = losses.soft_encoder([rec_r, rec_g], [kl_r, kl_g], scale=s)
    assert float(found) * s == pytest.approx(expected, rel=1e-5)


def test_soft_encoder_pushes_synthetic_cells_from_the_prior(terms):
    reg = [t.clone().requires_grad_() for t in terms[:2]]
    losses.soft_encoder(terms[2:], reg, scale=0.1).backward()
    assert all((r.grad < 0).all() for r in reg)


def test_classifier_consistency_is_the_mean_squared_distance():
    torch.manual_seed(0)
    a, b = torch.randn(5, 3), torch.randn(5, 3)
    torch.testing.assert_close(losses.classifier_consistency(a, b), torch.cdist(a, b).diagonal().square().mean())


@pytest.mark.parametrize("variant", ["original", "normalized", "loss-weighted"])
def test_softadapt_weights_are_the_papers(variant):
    """Against the equations in NumPy, for three parts at four times."""
    recent = np.array([[5.0, 2.0, 1.0], [4.0, 2.5, 1.0], [3.5, 2.0, 1.2], [2.0, 2.6, 1.1]])
    beta, s, f = 0.7, (recent[-1] - recent[0]) / 3, recent.mean(axis=0)
    if variant == "normalized":
        s = s / np.abs(s).sum()
    expected = np.exp(beta * s) * (f if variant == "loss-weighted" else 1)
    found = losses.softadapt_weights(torch.tensor(recent), variant=variant, beta=beta)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-6)


def test_softadapt_weights_of_large_losses_are_finite():
    found = losses.softadapt_weights(torch.tensor([[1e6, 10.0], [1e5, 9.0]]))
    torch.testing.assert_close(found, torch.tensor([0.0, 1.0]))


def test_softadapt_needs_two_times():
    with pytest.raises(ValueError, match="two times"):
        losses.softadapt_weights(torch.ones(1, 2))
