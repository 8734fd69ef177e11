"""The library-size model p(l | z, y, b)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, Normal


class LibrarySize(nn.Module):
    """p(log l | z, y, b): a mixture of Gaussians whose parameters a small network gives.

    A cell's depth goes with its state as well as with its type and batch, so it is drawn given the latent: the two are
    as correlated in generated cells as in real ones.

    Parameters
    ----------
    n_input
        Latent dimensions, and whatever is joined to them (one-hot type and batch).
    n_hidden
        Width of the hidden layer.
    n_components
        Gaussians.
    """

    loc: Tensor
    scale: Tensor

    def __init__(self, n_input: int, n_hidden: int = 64, n_components: int = 3):
        super().__init__()
        last = nn.Linear(n_hidden, 3 * n_components)
        self.layers = nn.Sequential(nn.Linear(n_input, n_hidden), nn.Tanh(), last)
        with torch.no_grad():
            last.weight.mul_(0.1)
            # the components start apart, else they stay one
            last.bias[n_components : 2 * n_components] = torch.linspace(-1, 1, n_components)
        # log library sizes are standardized by these; they stay with the weights
        self.register_buffer("loc", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def standardize(self, log_library: Tensor) -> None:
        """Take location and scale from the log library sizes of the training cells."""
        self.loc.copy_(log_library.mean())
        self.scale.copy_(log_library.std().clamp(min=1e-3) if log_library.numel() > 1 else torch.ones(()))

    def scaled(self, log_library: Tensor) -> Tensor:
        """Log library sizes in standard deviations from their mean."""
        return (log_library - self.loc) / self.scale

    def distribution(self, h: Tensor) -> MixtureSameFamily:
        """p((log l - loc) / scale | ...) for inputs ``(n_cells, n_input)``."""
        logits, mean, log_scale = self.layers(h).float().chunk(3, dim=-1)
        # the bounds keep a component from closing on one cell
        components = Normal(mean, log_scale.clamp(-3.0, 2.0).exp(), validate_args=False)
        return MixtureSameFamily(Categorical(logits=logits, validate_args=False), components, validate_args=False)

    def nll(self, h: Tensor, log_library: Tensor) -> Tensor:
        """Negative log-likelihood of log library sizes ``(n_cells,)``, up to a constant, ``(n_cells,)``."""
        return -self.distribution(h).log_prob(self.scaled(log_library))

    def sample(self, h: Tensor) -> Tensor:
        """Draw log library sizes, ``(n_cells,)``."""
        return self.distribution(h).sample() * self.scale + self.loc
