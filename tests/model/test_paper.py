"""The paper's configuration against its supplement H; its losses are in tests/train/test_game.py."""

from dataclasses import replace

import numpy as np
import pytest
from lightning.pytorch.callbacks import Callback
from tests_helpers import QUIET, make_counts
from torch.nn import BatchNorm1d, Linear, ReLU

from activa import ACTIVA, pp
from activa.train import PAPER_RECIPE, Hinge


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


class StopAtOnce(Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        raise KeyboardInterrupt


def test_training_is_supplement_hs():
    model = ACTIVA.paper(scaled())
    with pytest.warns(UserWarning, match="interrupted after 0 of 610 epochs"):
        model.train(callbacks=[StopAtOnce()], **QUIET)
    plan = model.trainer.lightning_module
    assert plan.recipe == PAPER_RECIPE and plan.alphas == (1.0, 0.5) and plan.n_epochs_warmup == 10
    groups = [group for optimizer in plan.trainer.optimizers for group in optimizer.param_groups]
    assert [group["lr"] for group in groups] == [2e-4, 2e-4, 1e-4]
    assert all((group["betas"], group["eps"], group["weight_decay"]) == ((0.9, 0.999), 1e-8, 0) for group in groups)
    staircase = plan.lr_schedulers()[-1]
    assert (staircase.step_size, staircase.gamma) == (1_000, 0.95)


def test_given_settings_replace_the_papers():
    model = ACTIVA.paper(scaled())
    game = Hinge(margin=7.0, n_epochs_warmup=1)
    model.train(max_epochs=2, game=game, plan_kwargs={"lr": 1e-3}, **QUIET)
    assert model.trainer.lightning_module.recipe == replace(PAPER_RECIPE, game=game, lr=1e-3)
    model.train(max_epochs=2, game=Hinge(n_epochs_warmup=2), **QUIET)  # without a game
    assert "kl_generated" not in model.trainer.logger.history


def test_the_classifier_gives_the_type(tmp_path):
    adata = scaled()
    model = ACTIVA.paper(adata)
    model.train(
        max_epochs=30,
        game=Hinge(margin=110, n_epochs_warmup=20),
        plan_kwargs={"lr": 1e-3, "lr_classifier": 1e-3},
        **QUIET,
    )
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
