"""The labeled prior p(z | y)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from activa.losses import regularization
from activa.module._rows import rows

_COMMON_CELLS = 10.0


class StandardPrior(nn.Module):
    """p(z) = N(0, I) whatever the type: the paper's prior.

    Parameters
    ----------
    n_latent
        Latent dimensions.
    """

    def __init__(self, n_latent: int):
        super().__init__()
        self.n_latent = n_latent

    def distribution(self, y: Tensor, batch: Tensor | None = None) -> Distribution:
        """p(z) for each of the cells of types ``y`` and batches ``batch``, shapes ``(n_cells,)``."""
        zero = torch.zeros(y.shape[0], self.n_latent, device=y.device)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def kl(self, mu: Tensor, log_var: Tensor, z: Tensor, y: Tensor, *, frozen: bool = False) -> Tensor:
        """KL divergence of the encodings from the prior, exact, ``(n_cells,)``."""
        return regularization(mu, log_var)


class LabeledPrior(nn.Module):
    """p(z | y): a mixture of Gaussians with diagonal covariance for each type, learnt with the model.

    Parameters
    ----------
    n_types
        Types, with one more where there are unlabeled cells.
    n_latent
        Latent dimensions.
    n_components
        Gaussians a type. With one, the KL divergence is exact; with more it is estimated at the latent drawn.
    n_batch
        Batches. A type's cells of one batch are not spread over its Gaussians as those of another are: which share of them
        each has is known once :meth:`weigh_batches` was called.
    """

    batch_logits: Tensor

    def __init__(self, n_types: int, n_latent: int, n_components: int, n_batch: int = 1):
        super().__init__()
        self.n_components = n_components
        self.loc = nn.Parameter(torch.randn(n_types, n_components, n_latent) * (0.5 if n_components > 1 else 0.1))
        self.log_scale = nn.Parameter(torch.zeros(n_types, n_components, n_latent))
        self.logits = nn.Parameter(torch.zeros(n_types, n_components))
        # what a batch adds to the logits; the batch is last, where scvi-tools adds new ones
        self.register_buffer("batch_logits", torch.zeros(n_types, n_components, n_batch))

    def start_from(self, loc: Tensor, scale: Tensor, weight: Tensor, labels: Tensor | None = None) -> None:
        """Start from given components, of all types or of some.

        Parameters
        ----------
        loc, scale
            Means and standard deviations, ``(n_types, n_components, n_latent)``.
        weight
            Weights, ``(n_types, n_components)``.
        labels
            Which types to change, bool ``(n_types,)``; all by default.
        """
        chosen = slice(None) if labels is None else labels.to(self.loc.device)
        with torch.no_grad():
            for parameter, value in ((self.loc, loc), (self.log_scale, scale.log()), (self.logits, weight.log())):
                parameter[chosen] = value.to(parameter.device)[chosen]

    @torch.no_grad()
    def weigh_batches(self, z: Tensor, y: Tensor, batch: Tensor, first: int = 0, *, draws: int = 1) -> None:
        """Find how the cells of each type and batch are spread over the type's Gaussians.

        A Gaussian's weight in a batch is its mean responsibility for the batch's cells, with ten cells of the type's
        common weights added: few cells say little.

        Parameters
        ----------
        z
            Latents, ``(n_cells * draws, n_latent)``.
        y, batch
            Codes of their types and batches, ``(n_cells * draws,)``.
        first
            Batches before this one are left as they are.
        draws
            Latents a cell.
        """
        n_types, n_components, n_batch = self.batch_logits.shape
        if n_batch == 1:
            return
        mixture = self.distribution(y)
        joint = mixture.mixture_distribution.logits + mixture.component_distribution.log_prob(z[:, None])
        cells = z.new_zeros(n_types * n_batch, n_components).index_add(
            0, y * n_batch + batch, joint.softmax(-1) / draws
        )
        cells = cells.view(n_types, n_batch, n_components)
        common = self.logits.softmax(-1).clamp(min=1e-8)[:, None]
        weight = (cells + _COMMON_CELLS * common) / (cells.sum(-1, keepdim=True) + _COMMON_CELLS)
        self.batch_logits[..., first:] = (weight / common).log().transpose(1, 2)[..., first:]

    def distribution(self, y: Tensor, batch: Tensor | None = None, *, frozen: bool = False) -> MixtureSameFamily:
        """p(z | y), or p(z | y, b), for each of the cells of types ``y`` and batches ``batch``, shapes ``(n_cells,)``.

        Frozen, it has no gradient to the prior.
        """
        parameters = (self.loc, self.log_scale, self.logits)
        loc, log_scale, logits = (rows(p.detach() if frozen else p, y) for p in parameters)
        if batch is not None:
            logits = logits + self.batch_logits[y, :, batch]
        components = Independent(Normal(loc, log_scale.exp(), validate_args=False), 1)
        return MixtureSameFamily(Categorical(logits=logits, validate_args=False), components, validate_args=False)

    def kl(self, mu: Tensor, log_var: Tensor, z: Tensor, y: Tensor, *, frozen: bool = False) -> Tensor:
        """KL divergence of the encodings from the prior of their type, ``(n_cells,)``.

        Exact with one component. With more, the one-sample estimate log q(z | x) - log p(z | y) at ``z``. Frozen, it
        has no gradient to the prior.
        """
        if self.n_components == 1:
            loc, log_scale = (rows(p.detach() if frozen else p, y)[:, 0] for p in (self.loc, self.log_scale))
            # in units of the prior's scale the prior is N(0, I)
            return regularization((mu - loc) * (-log_scale).exp(), log_var - 2 * log_scale)
        log_q = -0.5 * ((z - mu).square() * (-log_var).exp() + log_var + math.log(2 * math.pi)).sum(-1)
        return log_q - self.distribution(y, frozen=frozen).log_prob(z)
