"""The module that scvi-tools trains: inference, generative model and loss around the cell model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from scvi import REGISTRY_KEYS
from scvi.module.base import BaseMinifiedModeModuleClass, LossOutput, auto_move_data
from torch import Tensor
from torch.nn.functional import cross_entropy

from activa.module.cell_model import CellModel, Condition
from activa.module.fused import Decoded
from activa.module.likelihood import CellDistribution, log_likelihood
from activa.module.quality import CellQuality
from activa.scvi_private import MODULE_KEYS


class ACTIVAModule(CellModel, BaseMinifiedModeModuleClass):
    """:class:`CellModel` with the methods that scvi-tools calls; the arguments are the same."""

    use_observed_lib_size = True  # read by RNASeqMixin
    fuses = False  # whether one kernel is to compute the likelihood, where it can: the training plan asks for it

    def _get_inference_input(self, tensors: dict[str, Tensor], full_forward_pass: bool = False) -> dict:
        if self.minified_data_type is not None and not full_forward_pass:
            return {
                MODULE_KEYS.QZM_KEY: tensors[REGISTRY_KEYS.LATENT_QZM_KEY],
                MODULE_KEYS.QZV_KEY: tensors[REGISTRY_KEYS.LATENT_QZV_KEY],
                REGISTRY_KEYS.OBSERVED_LIB_SIZE: tensors[REGISTRY_KEYS.OBSERVED_LIB_SIZE],
            }
        return {
            MODULE_KEYS.X_KEY: tensors[REGISTRY_KEYS.X_KEY],
            "condition": self.condition(tensors),
            "proteins": tensors.get(REGISTRY_KEYS.PROTEIN_EXP_KEY),
        }

    def _get_generative_input(self, tensors: dict[str, Tensor], inference_outputs: dict) -> dict:
        z, library = inference_outputs[MODULE_KEYS.Z_KEY], inference_outputs[MODULE_KEYS.LIBRARY_KEY]
        if self.use_size_factor_key:
            library = tensors[REGISTRY_KEYS.SIZE_FACTOR_KEY].log().expand(*z.shape[:-1], 1)
        return {MODULE_KEYS.Z_KEY: z, MODULE_KEYS.LIBRARY_KEY: library, "condition": self.condition(tensors)}

    @auto_move_data
    def _regular_inference(
        self, x: Tensor, condition: Condition, proteins: Tensor | None = None, n_samples: int = 1
    ) -> dict:
        mu, log_var = self.encode(x, condition, proteins)
        return self._draw_latent(mu, (0.5 * log_var).exp(), x.sum(-1, keepdim=True), n_samples)

    @auto_move_data
    def _cached_inference(self, qzm: Tensor, qzv: Tensor, observed_lib_size: Tensor, n_samples: int = 1) -> dict:
        return self._draw_latent(qzm, qzv.sqrt(), observed_lib_size, n_samples)

    def _draw_latent(self, mu: Tensor, scale: Tensor, library: Tensor, n_samples: int) -> dict:
        """q(z | x, b), a sample ``z`` of it, and the log library sizes."""
        qz = torch.distributions.Normal(mu, scale, validate_args=False)
        z = qz.rsample((n_samples,)) if n_samples > 1 else qz.rsample()
        return {
            MODULE_KEYS.Z_KEY: z,
            MODULE_KEYS.QZ_KEY: qz,
            MODULE_KEYS.QL_KEY: None,
            # queries may have cells without counts, and log(0) would spread to the whole minibatch
            MODULE_KEYS.LIBRARY_KEY: library.clamp(min=1e-8).log().expand(*z.shape[:-1], 1),
        }

    @auto_move_data
    def generative(self, z: Tensor, library: Tensor, condition: Condition, transform_batch: int | None = None) -> dict:
        """p(x | z, l, y, b) and the prior p(z | y)."""
        if transform_batch is not None:
            condition = condition._replace(batch_index=torch.full_like(condition.batch_index, transform_batch))
        return {
            MODULE_KEYS.PX_KEY: self._decode(z, library, condition),
            MODULE_KEYS.PL_KEY: None,
            MODULE_KEYS.PZ_KEY: self.prior.distribution(condition.types),
        }

    def _decode(self, z: Tensor, library: Tensor, condition: Condition) -> CellDistribution | Decoded:
        """p(x | z, l, y, b), or only what its likelihood is computed of by one kernel."""
        can_fuse = self.is_count and not self.use_size_factor_key and z.dim() == 2
        is_plain = z.device.type == "cpu" and self.likelihood.px_r.dtype == torch.float32
        if not (self.fuses and can_fuse and is_plain):
            return self.decode(z, library, condition)
        h, logs = self.state(z, condition)
        quality = None if logs is None else CellQuality.of_logs(logs)
        return Decoded(self.generator.output(h), library, quality, self.likelihood)

    def loss(
        self, tensors: dict[str, Tensor], inference_outputs: dict, generative_outputs: dict, kl_weight: Any = 1.0
    ) -> LossOutput:
        """Negative ELBO, plus the logged ``library_nll``, ``classification_loss`` and ``weight_penalty``; nats per cell.

        The library-size model reads the latent as a constant, so it shares no weight with the ELBO.
        """
        condition = self.condition(tensors)
        log_library = self._get_generative_input(tensors, inference_outputs)[MODULE_KEYS.LIBRARY_KEY]
        qz, z = inference_outputs[MODULE_KEYS.QZ_KEY], inference_outputs[MODULE_KEYS.Z_KEY]
        px, x = generative_outputs[MODULE_KEYS.PX_KEY], tensors[REGISTRY_KEYS.X_KEY]
        reconstruction = -(px.log_likelihood(x) if isinstance(px, Decoded) else log_likelihood(px, x))
        proteins = tensors.get(REGISTRY_KEYS.PROTEIN_EXP_KEY)
        if proteins is not None:
            p_proteins = self.decode_proteins(z, log_library, condition, proteins)
            reconstruction = reconstruction - log_likelihood(p_proteins, proteins)
        kl = self.prior.kl(qz.loc, 2 * qz.scale.log(), z, condition.types)
        elbo = (reconstruction + kl_weight * kl).mean()
        if z.dim() > 2:
            return LossOutput(loss=elbo, reconstruction_loss=reconstruction, kl_local=kl)
        library_nll = self.library_nll(z.detach(), log_library, condition, proteins)
        classification, penalty = self.classification_loss(tensors), self.generator.penalty()
        if proteins is not None and self.proteins is not None:
            penalty = penalty + self.proteins.generator.penalty()
        loss = elbo + library_nll + classification + penalty
        terms = {"library_nll": library_nll, "classification_loss": classification, "weight_penalty": penalty}
        return LossOutput(loss=loss, reconstruction_loss=reconstruction, kl_local=kl, extra_metrics=terms)

    def condition(self, tensors: dict[str, Tensor]) -> Condition:
        """The condition of a minibatch's cells."""
        return Condition(
            tensors[REGISTRY_KEYS.LABELS_KEY],
            tensors[REGISTRY_KEYS.BATCH_KEY],
            tensors.get(REGISTRY_KEYS.CAT_COVS_KEY),
            tensors.get(REGISTRY_KEYS.CONT_COVS_KEY),
        )

    def library_nll(
        self, z: Tensor, log_library: Tensor, condition: Condition, proteins: Tensor | None = None
    ) -> Tensor:
        """Mean negative log-likelihood of the log library sizes, and of the log totals of protein counts, scalar."""
        nll = self.library.nll(self._library_input(z, condition), log_library.squeeze(-1)).mean()
        if proteins is not None and self.proteins is not None and self.proteins.library is not None:
            total_input = self._protein_total_input(z, log_library, condition)
            nll = nll + self.proteins.library.nll(total_input, self.proteins.log_total(proteins).squeeze(-1)).mean()
        return nll

    def classification_loss(self, tensors: dict[str, Tensor]) -> Tensor:
        """Mean cross entropy of the labeled cells, scalar; zero if a minibatch has none."""
        y = tensors[REGISTRY_KEYS.LABELS_KEY].squeeze(-1).long()
        labeled = y < self.n_types
        logits = self.classify(tensors[REGISTRY_KEYS.X_KEY][labeled])
        # divided by at least one, so that a minibatch without labeled cells gives zero, not NaN
        return cross_entropy(logits, y[labeled], reduction="sum") / labeled.sum().clamp(min=1)

    @torch.inference_mode()
    def sample(self, tensors: dict[str, Tensor], n_samples: int = 1, generative_kwargs: dict | None = None) -> Tensor:
        """Posterior predictive samples on the CPU, ``(n_cells, n_genes)`` or ``(n_cells, n_genes, n_samples)``."""
        inference_kwargs = {"n_samples": n_samples}
        _, generative = self.forward(tensors, None, None, inference_kwargs, generative_kwargs, compute_loss=False)
        samples = self.draw(generative[MODULE_KEYS.PX_KEY])
        return (samples.permute(1, 2, 0) if n_samples > 1 else samples).cpu()

    @torch.inference_mode()
    @auto_move_data
    def marginal_ll(
        self, tensors: dict[str, Tensor], n_mc_samples: int, return_mean: bool = False, n_mc_samples_per_pass: int = 1
    ) -> Tensor | float:
        """Importance-sampled log p(x) under the prior of the cells' types, nats, ``(n_cells,)`` or its mean."""
        y = tensors[REGISTRY_KEYS.LABELS_KEY].squeeze(-1).long()
        terms = []
        for _ in range(math.ceil(n_mc_samples / n_mc_samples_per_pass)):
            inference, _, losses = self.forward(
                tensors,
                get_inference_input_kwargs={"full_forward_pass": True},
                inference_kwargs={"n_samples": n_mc_samples_per_pass},
            )
            qz, z = inference[MODULE_KEYS.QZ_KEY], inference[MODULE_KEYS.Z_KEY]
            log_w = self.prior.distribution(y).log_prob(z) - qz.log_prob(z).sum(-1)
            terms.append((log_w - losses.dict_sum(losses.reconstruction_loss)).reshape(-1, y.shape[0]))
        log_weights = torch.cat(terms)
        log_p = torch.logsumexp(log_weights, dim=0) - np.log(log_weights.shape[0])
        return log_p.mean().item() if return_mean else log_p.cpu()
