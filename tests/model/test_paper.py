"""The paper's configuration against its supplement H, and its losses against its equations, written out."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scvi.model.base import UnsupervisedTrainingMixin
from tests_helpers import QUIET, make_counts
from torch.nn import BatchNorm1d, Linear, ReLU

from activa import ACTIVA, pp
from activa.train import IntrospectivePlan

SHORT = {"max_epochs": 4, "plan_kwargs": {"n_epochs_warmup": 2}}


def scaled(n_cells=150):
    adata = make_counts(n_cells)
    pp.scale_library(adata, 200.0)
    ACTIVA.setup_anndata(adata, labels_key="cell_type")
    return adata


def layers(network):
    return [(layer.in_features, layer.out_features) if isinstance(layer, Linear) else type(layer) for layer in network]


def test_layers_are_supplement_hs():
    adata = scaled()
    m, n_types = adata.n_vars, adata.obs["cell_type"].nunique()
    module = ACTIVA.paper(adata).module

    def hidden(*pairs):
        return [part for pair in pairs for part in (pair, ReLU, BatchNorm1d)]

    assert layers(module.encoder.hidden) == hidden((m, 1024), (1024, 512), (512, 256))
    assert layers([module.encoder.mean, module.encoder.log_var]) == [(256, 128), (256, 128)]
    assert layers(module.generator.hidden) == hidden((128, 256), (256, 512), (512, 1024))
    assert layers([module.generator.mean]) == [(1024, m)] and module.generator.activation == "relu"
    actinn, last = module.classifier.layers
    assert layers(actinn) == [(m, 100), ReLU, (100, 50), ReLU, (50, 25), ReLU] and layers([last]) == [(25, n_types)]

    def dense(*widths):
        return sum(a * b + b for a, b in zip(widths, widths[1:], strict=False))

    normalized = 2 * (1024 + 512 + 256)
    counts = [sum(p.numel() for p in part.parameters()) for part in (module.encoder, module.generator)]
    assert counts == [
        dense(m, 1024, 512, 256) + 2 * dense(256, 128) + normalized,
        dense(128, 256, 512, 1024, m) + normalized,
    ]


def test_settings_are_the_papers(monkeypatch):
    called = {}
    monkeypatch.setattr(UnsupervisedTrainingMixin, "train", lambda self, **kwargs: called.update(kwargs))
    model = ACTIVA.paper(scaled())
    model.train()
    assert called["max_epochs"] == 610 and called["batch_size"] == 128
    monkeypatch.undo()
    model.train(**SHORT, **QUIET)
    plan = model.trainer.lightning_module
    assert (plan.introspection, plan.margin, plan.alpha_1, plan.alpha_2) == ("hinge", 110.0, 1.0, 0.5)
    assert (plan.introspection_weight, plan.classifier_weight, plan.n_epochs_warmup) == (1.0, 1.0, 2)
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in plan.optimizers()]
    assert rates == [[2e-4], [2e-4], [1e-4]]
    assert all(group["betas"] == (0.9, 0.999) for optimizer in plan.optimizers() for group in optimizer.param_groups)
    staircase = plan.lr_schedulers()[-1]
    assert (staircase.step_size, staircase.gamma) == (1_000, 0.95)


@pytest.mark.parametrize("margin", [3.0, 1e4])
def test_losses_are_equations_4_and_5(margin, monkeypatch):
    """L_E and L_G of one step, each from the networks' outputs alone."""
    adata = scaled(64)
    model = ACTIVA.paper(adata)
    module = model.module
    module.margin.fill_(margin)
    # batch statistics are the same in every pass in evaluation mode
    module.eval()
    settings = model.training_defaults_["plan_kwargs"] | {"margin": margin}
    plan = IntrospectivePlan(module, max_epochs=20, **settings)
    found = []
    monkeypatch.setattr(plan, "manual_backward", lambda loss, **kwargs: found.append(float(loss.detach())))
    monkeypatch.setattr(plan, "log_dict", lambda *args, **kwargs: None)
    # asks the trainer, of which there is none
    monkeypatch.setattr(IntrospectivePlan, "use_sync_dist", False)
    monkeypatch.setattr(IntrospectivePlan, "trainer", SimpleNamespace(world_size=1))
    z_g = torch.randn(64, 128, generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(module, "sample_latent", lambda design: z_g)
    batch = next(iter(model._make_data_loader(adata, batch_size=64)))
    inference, generative, output = plan.forward(batch, loss_kwargs={"kl_weight": 1.0})
    terms = output.kl_local["kl_local"].mean(), output.reconstruction_loss["reconstruction_loss"].mean()
    plan._play(batch, inference, generative, output, terms[0] + 0.5 * terms[1])
    loss_g, _, loss_e = found

    def encode(x):
        h = module.encoder.hidden(x)
        return module.encoder.mean(h), module.encoder.log_var(h)

    def gen(z):
        return torch.relu(module.generator.mean(module.generator.hidden(z)))

    def l_reg(x):
        mu, log_var = encode(x)
        return float(-0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(1).mean())

    with torch.no_grad():
        x = batch["X"]
        x_r, x_g = gen(inference["z"]), gen(z_g)
        # the Gaussian of variance 1/2 adds a constant to the squared error
        l_ae = float(((x - x_r) ** 2).sum(1).mean()) + 0.5 * np.log(np.pi) * x.shape[1]
        l_ct = float(((module.classifier(x) - module.classifier(x_r)) ** 2).sum(1).mean())
        real, synthetic = l_reg(x), [l_reg(x_r), l_reg(x_g)]
    library_nll = float(output.extra_metrics["library_nll"].detach())
    expected_e = real + 0.5 * sum(max(margin - s, 0.0) for s in synthetic) + 0.5 * (l_ae + l_ct)
    # what the generator has no gradient of is in the loss as well: L_REG of real cells, and the library sizes' own term
    expected_g = 0.5 * sum(synthetic) + 0.5 * (l_ae + l_ct) + real + library_nll
    assert loss_e == pytest.approx(expected_e, rel=1e-4)
    assert loss_g == pytest.approx(expected_g, rel=1e-4)


def test_the_classifier_gives_the_type(tmp_path):
    adata = scaled()
    model = ACTIVA.paper(adata)
    model.train(max_epochs=30, plan_kwargs={"n_epochs_warmup": 20, "lr": 1e-3, "lr_classifier": 1e-3}, **QUIET)
    cells = model.generate(40, labels=["T", "B"] * 20, seed=0)
    ACTIVA.setup_anndata(cells, labels_key="cell_type")
    assert list(model.predict(cells)) == ["T", "B"] * 20
    # a cell is its mean, so that it is no count
    assert (cells.X.toarray() != np.round(cells.X.toarray())).any()
    model.save(tmp_path / "model")
    loaded = ACTIVA.load(tmp_path / "model", adata=False)
    assert loaded.training_defaults_ == model.training_defaults_
    first, second = (made.generate(20, labels="T", seed=1).X for made in (loaded, model))
    assert (first != second).nnz == 0
