import torch
from torch.distributions import Normal

from activa.module import Encoder, Generator


def test_the_curve_adds_nothing_at_the_start():
    torch.manual_seed(0)
    generator = Generator(3, 2, 12, "softmax")
    x = torch.randn(4, 5)
    torch.testing.assert_close(generator(x), generator.mean(x).softmax(-1))


def test_the_penalty_is_the_gaussian_prior_per_cell():
    torch.manual_seed(0)
    generator = Generator(3, 2, 6, "identity", loading_scale=0.1, offset_scale=0.4)
    assert generator.penalty().item() == 0  # the number of cells is not known yet
    loadings, offsets = torch.randn(6, 3), torch.randn(2, 6)
    generator.initialize_weights(loadings, offsets, n_cells=50)
    with torch.no_grad():
        generator.mean.weight.add_(torch.randn(6, 5))
        generator.curve[-1].weight.normal_()

    def log_prior(weights, loc, scale):
        prior = Normal(loc, scale)
        return (prior.log_prob(weights) - prior.log_prob(torch.as_tensor(loc))).sum()

    weight = generator.mean.weight
    expected = log_prior(weight[:, :3], 0.0, 0.1) + log_prior(weight[:, 3:], offsets.T, 0.4)
    expected = expected + log_prior(generator.curve[-1].weight, 0.0, 0.1)
    torch.testing.assert_close(generator.penalty(), -expected / 50)


def test_means_survive_every_activation():
    mean = torch.tensor([0.1, 0.3, 0.6])
    for activation in ("softmax", "softplus", "relu", "identity"):
        generator = Generator(2, 0, 3, activation)
        generator.initialize_means(mean)
        torch.testing.assert_close(generator(torch.zeros(1, 2)), mean[None])


def test_genes_are_hidden_from_the_encoder_in_training_only():
    torch.manual_seed(0)
    x, nothing = torch.randn(4, 10), torch.zeros(4, 0)
    linear, deep = (Encoder(10, 0, 2, (8,), 0.0, is_linear=is_linear) for is_linear in (True, False))
    linear.train()
    assert not torch.equal(linear(x, nothing)[0], linear(x, nothing)[0])
    deep.train()
    assert torch.equal(deep(x, nothing)[0], deep(x, nothing)[0])
    linear.eval()
    assert torch.equal(linear(x, nothing)[0], linear(x, nothing)[0])
