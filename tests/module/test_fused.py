"""The kernel of the count likelihood against autograd in double precision, and training by it against training without."""

import copy

import numpy as np
import pytest
import torch
from tests_helpers import QUIET, make_counts

from activa import ACTIVA
from activa.module.fused import Decoded
from activa.module.likelihood import CellLikelihood, log_likelihood
from activa.module.quality import Quality
from activa.train import IntrospectivePlan

N_CELLS, N_GENES = 21, 130


def case(likelihood: str, depth: float, *, with_quality: bool, seed: int = 0):
    """Outputs, log library sizes, logs of the quality, likelihood and counts, in double precision."""
    g = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=g, dtype=torch.float64)
    out, log_library = 2 * draw(N_CELLS, N_GENES), depth + 0.5 * draw(N_CELLS, 1)
    logs = torch.tensor([-2.3, 0.0, 0.0]) + torch.tensor([1.0, 0.1, 0.5]) * draw(N_CELLS, 3) if with_quality else None
    model = CellLikelihood(N_GENES, likelihood).double()
    with torch.no_grad():
        model.px_r.copy_(1 + 1.5 * draw(N_GENES))
        model.px_r[:2] = torch.tensor([-11.0, 13.0])  # beyond the bounds
    rate = torch.softmax(out, -1) * log_library.exp()
    x = torch.poisson(rate, generator=g)
    x[:, 3] += torch.randint(0, 300, (N_CELLS,), generator=g)  # outliers
    x[5] = 0
    return out, log_library, logs, model, x


def gradients(log_p, leaves, model, weight):
    (log_p * weight).sum().backward()
    found = [log_p.detach()] + [leaf.grad for leaf in leaves] + [p.grad for p in model.parameters()]
    return [value.double().numpy() for value in found]


def compared(likelihood, depth, with_quality, weight, dtype_of_x=torch.float32):
    """Log-likelihoods and gradients by autograd in double precision, by autograd in float32, and by the kernel."""
    *given, model, x = case(likelihood, depth, with_quality=with_quality)
    found = []
    for dtype, by_kernel in ((torch.float64, False), (torch.float32, False), (torch.float32, True)):
        leaves = [leaf.clone().to(dtype).requires_grad_(True) for leaf in given if leaf is not None]
        quality = None if not with_quality else Quality(*leaves[2].exp().split(1, dim=-1))
        own = copy.deepcopy(model).to(dtype)
        if by_kernel:
            log_p = Decoded(leaves[0], leaves[1], quality, own).log_likelihood(x.to(dtype_of_x))
        else:
            out = leaves[0] if quality is None else leaves[0] * quality.contrast
            log_p = log_likelihood(own(torch.softmax(out, -1), leaves[1], quality), x.to(dtype))
        found.append(gradients(log_p, leaves, own, weight.to(dtype)))
    return found


@pytest.mark.parametrize("with_quality", [True, False])
@pytest.mark.parametrize("depth", [2.0, 6.0, 11.0])
@pytest.mark.parametrize("likelihood", ["nb-outlier", "nb"])
def test_likelihood_and_all_gradients_are_those_of_autograd(likelihood, depth, with_quality):
    for weight in (torch.full((N_CELLS,), -1 / N_CELLS), torch.linspace(-1, 2, N_CELLS)):
        for exact, plain, found in zip(*compared(likelihood, depth, with_quality, weight), strict=True):
            # float32 has 7 digits, of which differences leave fewer to both
            error, error_of_autograd = (np.abs(values - exact).max() / np.abs(exact).max() for values in (found, plain))
            assert error < 3 * error_of_autograd + 1e-5


def test_counts_of_any_number_type_and_layout():
    weight = torch.ones(N_CELLS)
    *_, as_float = compared("nb-outlier", 6.0, True, weight)
    *_, as_int = compared("nb-outlier", 6.0, True, weight, torch.int64)
    for first, second in zip(as_float, as_int, strict=True):
        np.testing.assert_array_equal(first, second)


def test_the_number_of_threads_changes_no_bit():
    found, before = [], torch.get_num_threads()
    try:
        for n_threads in (1, 2, 3):
            torch.set_num_threads(n_threads)
            found.append(compared("nb-outlier", 6.0, True, torch.ones(N_CELLS))[-1])
    finally:
        torch.set_num_threads(before)
    for others in found[1:]:
        for first, other in zip(found[0], others, strict=True):
            np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize("gene_likelihood", ["nb-outlier", "nb"])
def test_losses_of_a_training_are_those_of_the_reference(gene_likelihood, monkeypatch):
    losses = {}
    for fuses in (True, False):
        monkeypatch.setattr(IntrospectivePlan, "fuses", fuses)
        adata = make_counts()
        ACTIVA.setup_anndata(adata, labels_key="cell_type", batch_key="batch")
        model = ACTIVA(adata, gene_likelihood=gene_likelihood)
        model.train(5, train_size=0.8, batch_size=64, **QUIET)
        losses[fuses] = model.history["elbo_train"].to_numpy(float).ravel()
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-4)


def test_the_kernel_is_used_in_training_and_nowhere_else(monkeypatch):
    calls = []
    plain = Decoded.log_likelihood
    monkeypatch.setattr(Decoded, "log_likelihood", lambda self, x: calls.append(len(x)) or plain(self, x))
    adata = make_counts()
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    model = ACTIVA(adata)
    model.train(1, batch_size=120, **QUIET)
    assert calls == [120, 120]
    model.get_elbo()
    model.get_likelihood_parameters()
    assert len(calls) == 2


def test_a_batch_of_a_size_factor_or_of_values_has_no_kernel():
    adata = make_counts()
    for setup, settings in (({"size_factor_key": "depth"}, {}), ({}, {"gene_likelihood": "normal"})):
        ACTIVA.setup_anndata(adata, labels_key="cell_type", **setup)
        model = ACTIVA(adata, **settings)
        model.train(1, **QUIET)
        assert np.isfinite(model.history["elbo_train"].to_numpy(float)).all()
