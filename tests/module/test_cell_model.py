import pytest
import torch

from activa.module import ACTIVAModule, CellModel, Condition
from activa.settings import Settings

SETTINGS = Settings(n_hidden=(8,), n_latent=3)
CONDITION = Condition(torch.tensor([[0], [1], [1], [0]]), torch.zeros(4, 1))
LOG_LIBRARY = torch.tensor([[3.0], [5.0], [7.0], [9.0]])


def make_model(settings: Settings = SETTINGS, **kwargs) -> CellModel:
    torch.manual_seed(0)
    model = CellModel(12, n_labels=2, n_types=2, settings=settings, **kwargs).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model


def test_means_add_up_to_the_library_size_including_outliers():
    px = make_model().decode(torch.randn(4, 3), LOG_LIBRARY, CONDITION)
    torch.testing.assert_close(px.mean.sum(-1), LOG_LIBRARY.exp().squeeze(-1))
    # all outliers add the same, and each count has the same chance to be one, as long as that is rare
    torch.testing.assert_close(
        px.outlier_mean - px.mu, (px.outlier_mean - px.mu)[:1, :1].expand_as(px.mu), rtol=1e-3, atol=1e-3
    )
    per_count = -torch.log1p(-px.outlier_share.double() / 0.3) * 0.3 / px.mean
    torch.testing.assert_close(per_count, per_count[-1:, -1:].expand_as(per_count), rtol=1e-2, atol=0)


def test_the_mean_of_a_type_does_not_depend_on_the_loadings():
    model = make_model()
    model.label_means.copy_(torch.randn(2, 3))
    # certain of the type at each mean
    model.gate.weight.data.copy_(100 * (model.label_means - model.label_means.mean(0)))
    model.gate.bias.data.copy_(-(model.gate.weight * model.label_means.mean(0)).sum(-1))
    means = model.label_means[CONDITION.types].expand(5, 4, 3)
    before = model.decode(means, LOG_LIBRARY, CONDITION).mean
    model.generator.mean.weight.data[:, :3] += torch.randn(12, 3)
    torch.testing.assert_close(model.decode(means, LOG_LIBRARY, CONDITION).mean, before)
    assert not torch.allclose(model.decode(means + 1, LOG_LIBRARY, CONDITION).mean, before, rtol=0.1)


@pytest.mark.parametrize("architecture", ["log-linear", "deep"])
def test_training_module_and_cell_model_have_the_same_weights(architecture):
    settings = Settings(n_hidden=(8,), n_latent=3, architecture=architecture)
    states = []
    for cls in (CellModel, ACTIVAModule):
        torch.manual_seed(0)
        states.append(cls(12, 2, 3, 3, [2], 1, settings=settings, n_proteins=4).state_dict())
    assert list(states[0]) == list(states[1])
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize("protein_likelihood", ["nb", "normal"])
@pytest.mark.parametrize("gene_likelihood", ["nb-outlier", "normal"])
def test_a_generator_replaces_global_random_state(gene_likelihood, protein_likelihood):
    settings = Settings(
        n_hidden=(8,), n_latent=3, gene_likelihood=gene_likelihood, protein_likelihood=protein_likelihood
    )
    model = make_model(settings, n_proteins=4)

    @torch.no_grad()
    def sample(generator: torch.Generator | None) -> list[torch.Tensor]:
        z = model.sample_latent(CONDITION, generator)
        log_library = model.sample_log_library(z, CONDITION, generator)
        proteins = model.draw_proteins(z, log_library, CONDITION, generator=generator)
        return [z, log_library, proteins, model.draw(model.decode(z, log_library, CONDITION), generator)]

    torch.manual_seed(5)
    expected, before = sample(None), torch.get_rng_state()
    found = sample(torch.Generator().manual_seed(5))
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_squared_error_generates_the_means():
    model = make_model(Settings(n_hidden=(8,), n_latent=3, gene_likelihood="mse", architecture="deep"))
    px = model.decode(torch.randn(4, 3), LOG_LIBRARY, CONDITION)
    assert torch.equal(model.draw(px), px.mean)
    assert (px.mean >= 0).all() and px.mean.any()


def test_given_protein_totals_are_the_sums_of_the_means():
    model = make_model(Settings(n_hidden=(8,), n_latent=3, protein_likelihood="nb"), n_proteins=4)
    proteins = torch.randint(1, 50, (4, 4)).float()
    px = model.decode_proteins(torch.randn(4, 3), LOG_LIBRARY, CONDITION, proteins)
    torch.testing.assert_close(px.mean.sum(-1), proteins.sum(-1))
