import pytest
import torch

from activa.module import ACTIVAModule
from activa.module._design import CellDesign


def _module(**kwargs) -> ACTIVAModule:
    torch.manual_seed(0)
    module = ACTIVAModule(12, n_labels=2, n_types=2, n_latent=3, n_hidden=(8,), **kwargs).eval()
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return module


DESIGN = CellDesign(torch.tensor([[0], [1], [1], [0]]), torch.zeros(4, 1))
LOG_LIBRARY = torch.tensor([[3.0], [5.0], [7.0], [9.0]])


def test_means_add_up_to_the_library_size_with_outliers_too():
    px = _module(gene_likelihood="nb-outlier").decode(torch.randn(4, 3), LOG_LIBRARY, DESIGN)
    torch.testing.assert_close(px.mean.sum(-1), LOG_LIBRARY.exp().squeeze(-1))
    # high rates have outliers not as many times higher as low ones
    order = px.mean.flatten().argsort()
    assert (px.outlier_factor.flatten()[order].diff() <= 0).all() and (px.outlier_factor > 1).all()


@pytest.mark.parametrize("label_input", ["given", "inferred"])
def test_the_mean_of_a_type_does_not_move_with_the_loadings(label_input):
    module = _module(label_input=label_input, generator="linear")
    module.label_means.copy_(torch.randn(2, 3))
    if module.gate is not None:  # sure of the type of each mean
        module.gate.weight.data.copy_(100 * (module.label_means - module.label_means.mean(0)))
        module.gate.bias.data.copy_(-(module.gate.weight * module.label_means.mean(0)).sum(-1))
    means = module.label_means[DESIGN.y.squeeze(-1)].expand(5, 4, 3)
    before = module.decode(means, LOG_LIBRARY, DESIGN).mean
    module.generator.mean.weight.data[:, :3] += torch.randn(12, 3)
    torch.testing.assert_close(module.decode(means, LOG_LIBRARY, DESIGN).mean, before)
    assert not torch.allclose(module.decode(means + 1, LOG_LIBRARY, DESIGN).mean, before, rtol=0.1)


def test_the_curve_adds_nothing_at_the_start():
    torch.manual_seed(0)
    generator = ACTIVAModule(12, n_labels=2, n_types=2, n_latent=3, n_hidden=(8,), generator="curved").generator
    x = torch.randn(4, 5)
    torch.testing.assert_close(generator(x)[0], generator.mean(x).softmax(-1))
