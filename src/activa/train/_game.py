"""What the encoder makes of generated cells: the game with the generator (paper, Eq. 4-5), and the sleep phase."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from scvi import REGISTRY_KEYS
from scvi.module.base import LossOutput
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from activa import losses
from activa.module import ACTIVAModule, Condition, log_likelihood

Introspection = Literal["sleep", "soft", "hinge", "none"]
SyntheticCells = Literal["half", "whole"]


class Game:
    """The introspective steps, for :class:`~activa.train.IntrospectivePlan`, which holds the weights of their terms."""

    module: ACTIVAModule
    introspection: Introspection
    introspection_weight: float
    classifier_weight: float
    alpha_1: float
    alpha_2: float
    beta_rec: float
    beta_neg: float
    margin_per_cell: bool
    synthetic_cells: SyntheticCells
    use_sync_dist: Any
    trainer: Any
    manual_backward: Callable[..., None]
    log: Callable[..., None]
    log_dict: Callable[..., None]
    _trainable: Callable[[], tuple[list[Parameter], list[Parameter], list[Parameter]]]
    _check_finite: Callable[[Tensor], None]

    def _play(
        self, batch: dict[str, Tensor], inference: dict, generative: dict, output: LossOutput, elbo: Tensor
    ) -> Tensor:
        """Gradients of one step of the game; returns the encoder's loss."""
        m = self.module
        encoder, generator, classifier = self._trainable()
        condition = m.condition(batch)
        z, log_library = inference["z"], m._get_generative_input(batch, inference)["library"]
        with torch.no_grad():
            z_g = m.sample_latent(condition)
            log_library_g = m.sample_log_library(z_g, condition)

        # The first n_r cells are reconstructed, and the types of those from first_g on generated. Through x_r only the
        # consistency term's gradient reaches the encoder, whose own loss takes synthetic cells as constants.
        whole = self.synthetic_cells == "whole"
        n_r = z.shape[0] if whole else (z.shape[0] + 1) // 2
        first_g = 0 if whole else n_r
        log_library_s = torch.cat([log_library[:n_r], log_library_g[first_g:]])
        z_decoded = torch.cat([z[:n_r], z_g[first_g:]])
        if whole:
            x_g = m.draw_with_gradient(m.decode(z_g, log_library_g, condition))
            # the means of all are known from L_AE
            x_s = torch.cat([m.draw_with_gradient(generative["px"]), x_g])
            condition = condition.take(torch.arange(n_r, device=z.device).repeat(2))
        else:
            x_s = m.draw_with_gradient(m.decode(z_decoded, log_library_s, condition))
        proteins_s = m.draw_proteins(z_decoded, log_library_s, condition, with_gradient=True)
        l_ct = torch.zeros((), device=x_s.device)
        if self.classifier_weight > 0 and m.n_types > 1:
            with torch.no_grad():
                logits = m.classify(batch[REGISTRY_KEYS.X_KEY][:n_r])
            l_ct = losses.classifier_consistency(logits, m.classify(x_s[:n_r]))
        shared = elbo + self.alpha_2 * self.classifier_weight * l_ct

        # L_G: the critic's score of cells that carry gradient into the generator
        reg_s, _ = self._score(x_s, condition, proteins_s)
        introspective_g = losses.hinge_generator(reg_s.split(n_r))
        loss_g = (
            self.alpha_1 * self.introspection_weight * introspective_g + shared + output.extra_metrics["library_nll"]
        )
        self._check_finite(loss_g)
        if generator:
            self._backward(loss_g, generator, retain_graph=True)

        if classifier:
            self._backward(output.extra_metrics["classification_loss"], classifier)

        # L_E: the same cells as constants
        x_s, proteins_s = x_s.detach(), None if proteins_s is None else proteins_s.detach()
        reg_s, z_s = self._score(x_s, condition, proteins_s)
        if self.introspection == "hinge":
            introspective_e = losses.hinge_encoder(reg_s.split(n_r), m.margin, per_cell=self.margin_per_cell)
        else:
            ae_s = -log_likelihood(m.decode(z_s, log_library_s, condition), x_s)
            if proteins_s is not None:
                ae_s = ae_s - log_likelihood(m.decode_proteins(z_s, log_library_s, condition, proteins_s), proteins_s)
            introspective_e = losses.soft_encoder(
                ae_s.split(n_r), reg_s.split(n_r), scale=1 / m.n_input, beta_rec=self.beta_rec, beta_neg=self.beta_neg
            )
        loss_e = self.alpha_1 * self.introspection_weight * introspective_e + shared
        self._check_finite(loss_e)
        if encoder:
            self._backward(loss_e, encoder)

        self.log_dict(
            {"kl_reconstructed": reg_s[:n_r].mean().detach(), "kl_generated": reg_s.split(n_r)[-1].mean().detach(),
             "introspective_encoder": introspective_e.detach(), "introspective_generator": introspective_g.detach()},
            on_step=False, on_epoch=True, sync_dist=self.use_sync_dist, batch_size=output.n_obs_minibatch,
        )  # fmt: skip
        return loss_e

    def _backward(self, loss: Tensor, part: list[Parameter], *, retain_graph: bool = False) -> None:
        """Gradients of one part of the module, the mean of all devices'."""
        if self.trainer.world_size == 1:
            self.manual_backward(loss, inputs=part, retain_graph=retain_graph)
            return
        # DDP would wait for the gradients of all parts
        with self.trainer.strategy.block_backward_sync():
            self.manual_backward(loss, inputs=part, retain_graph=retain_graph)
        gradients = [p.grad for p in part if p.grad is not None]
        mean = self.trainer.strategy.reduce(parameters_to_vector(gradients), reduce_op="mean")
        vector_to_parameters(mean, gradients)

    def _sleep(self, batch: dict[str, Tensor]) -> Tensor:
        """The encoder's loss on generated cells, scalar; no other part has a gradient of it."""
        m = self.module
        # half of the minibatch's types: as good as all of them, in half the time; never one cell, for batch normalization
        n_g = batch[REGISTRY_KEYS.X_KEY].shape[0] // 2 + 1
        condition = m.condition(batch).take(slice(n_g))
        with torch.no_grad():
            z_g = m.sample_latent(condition)
            log_library_g = m.sample_log_library(z_g, condition)
            x_g = m.draw(m.decode(z_g, log_library_g, condition))
            proteins_g = m.draw_proteins(z_g, log_library_g, condition)
        introspective_e = losses.sleep_encoder(z_g, *m.encode(x_g, condition, proteins_g))
        self._check_finite(introspective_e)
        self.log(
            "introspective_encoder", introspective_e.detach(),
            on_step=False, on_epoch=True, sync_dist=self.use_sync_dist, batch_size=n_g,
        )  # fmt: skip
        return introspective_e

    def _score(self, x_s: Tensor, condition: Condition, proteins_s: Tensor | None) -> tuple[Tensor, Tensor]:
        """The critic's score L_REG of cells ``(n_cells,)``, and latents drawn from their encodings."""
        mu, log_var = self.module.encode(x_s, condition, proteins_s)
        z_s = mu + torch.randn_like(mu) * (0.5 * log_var).exp()
        return self.module.prior.kl(mu, log_var, z_s, condition.y.squeeze(-1).long(), frozen=True), z_s
