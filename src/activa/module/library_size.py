"""The library-size model p(l | z, y, b)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, Normal

from activa.module.sampling import sample_mixture


class LibrarySize(nn.Module):
    """p(log l | z, y, b): a mixture of Gaussians, whose parameters a small network computes.

    A cell's depth depends on its state as well as on its type and batch. Drawn given the latent, depth and state are
    as correlated in generated cells as in real ones.

    Parameters
    ----------
    n_input
        Latent dimensions plus the inputs joined to them (one-hot type and batch, covariates).
    n_hidden
        Width of the hidden layer.
    n_components
        Number of Gaussians.
    """

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
        """Set location and scale from the log library sizes of the training cells, ``(n_cells,)``."""
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
