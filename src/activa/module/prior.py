"""What a generated cell starts from: the prior of the latent, and the model of the library size given the latent."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal
from torch.nn.functional import embedding

from activa.losses import regularization
from activa.module.sampling import sample_mixture

# maximum Gaussians per type
N_COMPONENTS = 16
# pseudo-cells in the weights of a type's Gaussians in a batch
_COMMON_CELLS = 10.0


class StandardPrior(nn.Module):
    """p(z) = N(0, I) for every type: the paper's prior."""

    def __init__(self, n_latent: int):
        super().__init__()
        self.n_latent = n_latent

    def distribution(self, y: Tensor, batch: Tensor | None = None) -> Distribution:
        """p(z) for each cell; the types ``y`` and batches ``batch``, ``(n_cells,)``, have no effect."""
        zero = torch.zeros(y.shape[0], self.n_latent, device=y.device)
        return Independent(Normal(zero, torch.ones_like(zero)), 1)

    def sample(self, y: Tensor, batch: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents, ``(n_cells, n_latent)``."""
        return torch.randn(y.shape[0], self.n_latent, generator=generator, device=y.device)

    def kl(self, mu: Tensor, log_var: Tensor, z: Tensor, y: Tensor, *, frozen: bool = False) -> Tensor:
        """Exact KL divergence of the encodings from the prior, nats, ``(n_cells,)``."""
        return regularization(mu, log_var)


class LabeledPrior(nn.Module):
    """p(z | y): a mixture of Gaussians with diagonal covariance per type, learned with the model.

    ``n_types`` counts labels, the unlabeled category too. After :meth:`weigh_batches` the weights differ between batches.
    """

    batch_logits: Tensor

    def __init__(self, n_types: int, n_latent: int, n_batch: int = 1, n_components: int = N_COMPONENTS):
        super().__init__()
        self.loc = nn.Parameter(torch.randn(n_types, n_components, n_latent) * 0.5)
        self.log_scale = nn.Parameter(torch.zeros(n_types, n_components, n_latent))
        self.logits = nn.Parameter(torch.zeros(n_types, n_components))
        # added to the logits; batches come last, where scvi-tools appends new ones
        self.register_buffer("batch_logits", torch.zeros(n_types, n_components, n_batch))

    def set_components(self, loc: Tensor, scale: Tensor, weight: Tensor, labels: Tensor | None = None) -> None:
        """Set the Gaussians, ``(n_types, n_components, n_latent)``, of all types or of those in a mask, ``(n_types,)``."""
        chosen = slice(None) if labels is None else labels.to(self.loc.device)
        with torch.no_grad():
            for parameter, value in ((self.loc, loc), (self.log_scale, scale.log()), (self.logits, weight.log())):
                parameter[chosen] = value.to(parameter.device)[chosen]

    @torch.no_grad()
    def weigh_batches(self, z: Tensor, y: Tensor, batch: Tensor, first: int = 0, *, draws: int = 1) -> None:
        """Set the weights of each type's Gaussians in each batch, from ``first`` on, by latents as in ``fit_prior``.

        A weight is the Gaussian's mean responsibility for the batch's cells of the type. Ten pseudo-cells with the type's
        common weights are added, because few cells are little evidence.
        """
        n_types, n_components, n_batch = self.batch_logits.shape
        if n_batch == 1:
            return
        mixture = self.distribution(y)
        joint = mixture.mixture_distribution.logits + mixture.component_distribution.log_prob(z[:, None])
        cells = z.new_zeros(n_types * n_batch, n_components)
        cells = cells.index_add(0, y * n_batch + batch, joint.softmax(-1) / draws).view(n_types, n_batch, n_components)
        common = self.logits.softmax(-1).clamp(min=1e-8)[:, None]
        weight = (cells + _COMMON_CELLS * common) / (cells.sum(-1, keepdim=True) + _COMMON_CELLS)
        self.batch_logits[..., first:] = (weight / common).log().transpose(1, 2)[..., first:]

    def distribution(self, y: Tensor, batch: Tensor | None = None, *, frozen: bool = False) -> MixtureSameFamily:
        """p(z | y), or p(z | y, b), for codes ``(n_cells,)``; with ``frozen``, no gradient reaches the prior."""
        parameters = (self.loc, self.log_scale, self.logits)
        loc, log_scale, logits = (_rows(p.detach() if frozen else p, y) for p in parameters)
        if batch is not None:
            logits = logits + self.batch_logits[y, :, batch]
        components = Independent(Normal(loc, log_scale.exp(), validate_args=False), 1)
        return MixtureSameFamily(Categorical(logits=logits, validate_args=False), components, validate_args=False)

    def sample(self, y: Tensor, batch: Tensor | None = None, generator: torch.Generator | None = None) -> Tensor:
        """Draw latents, ``(n_cells, n_latent)``."""
        return sample_mixture(self.distribution(y, batch), generator)

    def kl(self, mu: Tensor, log_var: Tensor, z: Tensor, y: Tensor, *, frozen: bool = False) -> Tensor:
        """One-sample KL divergence, log q(z | x) - log p(z | y) at the drawn ``z``, nats, ``(n_cells,)``."""
        log_q = -0.5 * ((z - mu).square() * (-log_var).exp() + log_var + math.log(2 * math.pi)).sum(-1)
        return log_q - self.distribution(y, frozen=frozen).log_prob(z)


def _rows(table: Tensor, index: Tensor) -> Tensor:
    """``table[index]`` with a gradient that threads sum in a fixed order, so that a seed reproduces the weights."""
    return embedding(index, table.flatten(1)).unflatten(1, table.shape[1:])


class LibrarySize(nn.Module):
    """p(log l | z, y, b): a mixture of Gaussians whose parameters a small network computes from latent, type and batch."""

    loc: Tensor
    scale: Tensor

    def __init__(self, n_input: int, n_hidden: int = 64, n_components: int = 3):
        super().__init__()
        last = nn.Linear(n_hidden, 3 * n_components)
        self.layers = nn.Sequential(nn.Linear(n_input, n_hidden), nn.Tanh(), last)
        with torch.no_grad():
            last.weight.mul_(0.1)
            # components that start alike stay alike
            last.bias[n_components : 2 * n_components] = torch.linspace(-1, 1, n_components)
        # standardize log library sizes; buffers, so that they are saved with the weights
        self.register_buffer("loc", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def standardize(self, log_library: Tensor) -> None:
        """Set location and scale from the training cells, ``(n_cells,)``."""
        self.loc.copy_(log_library.mean())
        self.scale.copy_(log_library.std().clamp(min=1e-3) if log_library.numel() > 1 else torch.ones(()))

    def scaled(self, log_library: Tensor) -> Tensor:
        """Log library sizes in standard deviations from their mean."""
        return (log_library - self.loc) / self.scale

    def distribution(self, h: Tensor) -> MixtureSameFamily:
        """p((log l - loc) / scale | ...) for inputs ``(n_cells, n_input)``."""
        logits, mean, log_scale = self.layers(h).float().chunk(3, dim=-1)
        # the bounds keep a component from collapsing onto one cell
        components = Normal(mean, log_scale.clamp(-3.0, 2.0).exp(), validate_args=False)
        return MixtureSameFamily(Categorical(logits=logits, validate_args=False), components, validate_args=False)

    def nll(self, h: Tensor, log_library: Tensor) -> Tensor:
        """Negative log-likelihood, up to a constant, of log library sizes ``(n_cells,)``; nats, ``(n_cells,)``."""
        return -self.distribution(h).log_prob(self.scaled(log_library))

    def sample(self, h: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw log library sizes, ``(n_cells,)``."""
        return sample_mixture(self.distribution(h), generator) * self.scale + self.loc
