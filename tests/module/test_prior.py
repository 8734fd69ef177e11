import pytest
import torch
from torch.distributions import Normal, kl_divergence

from activa.module import LabeledPrior, LibrarySize, StandardPrior


@pytest.fixture
def encoding():
    torch.manual_seed(0)
    mu, log_var = torch.randn(8, 3), torch.randn(8, 3) * 0.3
    return mu, log_var, torch.arange(8) % 2


def make_prior(n_components: int) -> LabeledPrior:
    torch.manual_seed(1)
    prior = LabeledPrior(2, 3, n_batch=2, n_components=n_components)
    with torch.no_grad():
        for p in prior.parameters():
            p.add_(torch.randn_like(p) * 0.3)
    return prior


def test_the_kl_is_estimated_without_bias(encoding):
    mu, log_var, y = encoding
    prior = make_prior(3)
    q = Normal(mu, (log_var / 2).exp())
    z = q.sample((40_000,))
    # the mixture's density, written out
    log_p = torch.logsumexp(
        prior.logits[y].log_softmax(-1)
        + Normal(prior.loc[y], prior.log_scale[y].exp()).log_prob(z[..., None, :]).sum(-1),
        dim=-1,
    )
    expected = (q.log_prob(z).sum(-1) - log_p).mean(0)
    estimate = torch.stack([prior.kl(mu, log_var, q.sample(), y) for _ in range(3_000)]).mean(0)
    torch.testing.assert_close(estimate, expected, atol=0.15, rtol=0.05)


def test_standard_prior_is_the_standard_normal(encoding):
    mu, log_var, y = encoding
    prior = StandardPrior(3)
    expected = kl_divergence(Normal(mu, (log_var / 2).exp()), Normal(torch.zeros(()), torch.ones(()))).sum(-1)
    torch.testing.assert_close(prior.kl(mu, log_var, mu, y), expected)
    z = prior.sample(torch.zeros(50_000))
    assert z.mean(0).abs().max() < 0.03 and (torch.cov(z.T) - torch.eye(3)).abs().max() < 0.03


def test_a_frozen_prior_gets_no_gradient(encoding):
    mu, log_var, y = encoding
    prior = make_prior(3)
    mu = mu.requires_grad_()
    prior.kl(mu, log_var, mu, y, frozen=True).sum().backward()
    assert mu.grad.any() and all(p.grad is None for p in prior.parameters())
    prior.kl(mu, log_var, mu, y).sum().backward()
    assert prior.loc.grad.any()


@pytest.mark.parametrize("prior", [StandardPrior(3), make_prior(1), make_prior(5)])
def test_samples_are_those_of_the_distribution(prior):
    y, batch = torch.arange(300) % 2, torch.arange(300) // 150
    if isinstance(prior, LabeledPrior):
        prior.batch_logits.normal_()
    torch.manual_seed(3)
    expected, before = prior.distribution(y, batch).sample(), torch.get_rng_state()
    assert torch.equal(prior.sample(y, batch, torch.Generator().manual_seed(3)), expected)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    assert torch.equal(prior.sample(y, batch), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_types_differ():
    prior = make_prior(2)
    with torch.no_grad():
        prior.loc[1] += 20
    z = prior.sample(torch.tensor([0, 1]).repeat(500))
    assert z[1::2].mean() - z[::2].mean() > 15


def test_threads_do_not_change_the_gradient():
    """Of 512 cells x 16 components x 16 latents, which several threads share."""
    n_threads = torch.get_num_threads()
    mu, log_var, z = torch.randn(3, 512, 16, generator=torch.Generator().manual_seed(0)).unbind()
    y = torch.arange(512) % 3
    prior = LabeledPrior(3, 16)
    try:
        torch.set_num_threads(2)
        gradients = set()
        for _ in range(20):
            prior.zero_grad()
            prior.kl(mu, log_var, z, y).sum().backward()
            gradients.add(prior.loc.grad.numpy().tobytes())
    finally:
        torch.set_num_threads(n_threads)
    assert len(gradients) == 1


def test_batches_have_their_own_shares_of_a_types_gaussians():
    prior = LabeledPrior(2, 1, n_batch=3, n_components=2)
    prior.set_components(
        torch.tensor([[[-9.0], [9.0]]] * 2), torch.ones(2, 2, 1), torch.tensor([[0.5, 0.5], [0.2, 0.8]])
    )
    y, batch = torch.tensor([0] * 40 + [1] * 10), torch.tensor([0] * 20 + [1] * 30)
    z = torch.tensor([-9.0] * 15 + [9.0] * 5 + [9.0] * 20 + [-9.0] * 10)[:, None]
    before = prior.distribution(y, batch).mixture_distribution.probs
    assert torch.equal(before, prior.distribution(y).mixture_distribution.probs)
    prior.weigh_batches(z.repeat(3, 1), y.repeat(3), batch.repeat(3), draws=3)
    # ten cells of the type's common shares are added to those of the batch; the third batch has no cell
    expected = {(0, 0): (15 + 5) / 30, (0, 1): 5 / 30, (0, 2): 0.5, (1, 0): 0.2, (1, 1): (10 + 2) / 20, (1, 2): 0.2}
    for (label, b), share in expected.items():
        found = prior.distribution(torch.tensor([label]), torch.tensor([b])).mixture_distribution.probs[0, 0]
        assert found.item() == pytest.approx(share, abs=1e-5)
    # batches that are known stay as they are
    prior.weigh_batches(-z, y, batch, first=1)
    found = prior.distribution(torch.tensor([0, 0]), torch.tensor([0, 1])).mixture_distribution.probs[:, 0]
    assert found[0].item() == pytest.approx(20 / 30, abs=1e-5) and found[1].item() == pytest.approx(25 / 30, abs=1e-5)
    # with one batch there is nothing to tell apart
    one = LabeledPrior(2, 3)
    one.weigh_batches(torch.randn(8, 3), torch.zeros(8, dtype=int), torch.zeros(8, dtype=int))
    assert not one.batch_logits.any()


def test_library_sizes_follow_the_state():
    torch.manual_seed(0)
    z = torch.randn(2_000, 1)
    log_library = 7 + 0.5 * z.squeeze(-1) + 0.1 * torch.randn(2_000)
    library = LibrarySize(1)
    library.standardize(log_library)
    optimizer = torch.optim.Adam(library.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        library.nll(z, log_library).mean().backward()
        optimizer.step()
    drawn = library.sample(z)
    assert drawn.mean().item() == pytest.approx(7, abs=0.05)
    assert torch.corrcoef(torch.stack([drawn, z.squeeze(-1)]))[0, 1] > 0.95
    assert (drawn - 7 - 0.5 * z.squeeze(-1)).std().item() == pytest.approx(0.1, abs=0.05)


def test_library_sizes_are_those_of_the_distribution():
    torch.manual_seed(0)
    library, h = LibrarySize(4), torch.randn(300, 4)
    library.standardize(torch.randn(50) + 8)
    torch.manual_seed(3)
    expected = library.distribution(h).sample() * library.scale + library.loc
    assert torch.equal(library.sample(h, torch.Generator().manual_seed(3)), expected)
