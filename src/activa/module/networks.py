"""The three networks: encoder (and critic), generator, and the ACTINN classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

# share of the genes hidden from a log-linear model's encoder in a training step
_INPUT_DROPOUT_RATE = 0.35
# width of a log-linear generator's curve, and standard deviation of the prior of its output weights
_CURVE_WIDTH, _CURVE_SCALE = 64, 0.1


def _mlp(
    n_input: int, widths: Sequence[int], norm: Literal["batch", "layer", "none"] = "none", dropout_rate: float = 0.0
) -> nn.Sequential:
    """Linear, ReLU, normalization and dropout for each width, in the order of the paper's supplement H."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(n_input, width), nn.ReLU()]
        if norm == "batch":
            layers.append(nn.BatchNorm1d(width))
        elif norm == "layer":
            layers.append(nn.LayerNorm(width))
        if dropout_rate > 0:
            layers.append(nn.Dropout(dropout_rate))
        n_input = width
    return nn.Sequential(*layers)


def _in_float32(layer: nn.Linear, h: Tensor) -> Tensor:
    """Apply a last layer; mixed precision rounds its product but not its bias, which may be large."""
    if torch.is_autocast_enabled(h.device.type):
        return linear(h, layer.weight).float() + layer.bias
    return layer(h)


class Encoder(nn.Module):
    """q(z | x, b): mean and log-variance of a cell's latent, from which the critic's score is computed.

    ``n_covariates`` inputs are joined to the genes (one-hot batch, covariates, depth). With ``is_linear`` a linear map of
    log-normalized expression is added to the mean, which starts as a projection on principal components. Hidden layers then
    have layer instead of batch normalization, and each training step hides 35% of the genes, which prevents memorization of
    the cells when these are few.
    """

    center: Tensor

    def __init__(
        self,
        n_genes: int,
        n_covariates: int,
        n_latent: int,
        n_hidden: Sequence[int],
        dropout_rate: float,
        *,
        is_linear: bool,
    ):
        super().__init__()
        self.hidden = _mlp(n_genes + n_covariates, n_hidden, "layer" if is_linear else "batch", dropout_rate)
        self.mean = nn.Linear(n_hidden[-1], n_latent)
        self.log_var = nn.Linear(n_hidden[-1], n_latent)
        self.linear = nn.Linear(n_genes, n_latent, bias=False) if is_linear else None
        self.register_buffer("center", torch.zeros(n_genes if is_linear else 0))

    def initialize_projection(self, center: Tensor, projection: Tensor) -> None:
        """Set the linear part to a projection, ``(n_latent, n_genes)``, of cells minus ``center``."""
        assert self.linear is not None
        with torch.no_grad():
            self.center.copy_(center)
            self.linear.weight.copy_(projection)
            # the hidden layers start small beside it, and the latents about as certain as the projection
            self.mean.weight.mul_(0.1)
            self.log_var.weight.mul_(0.1)
            self.log_var.bias.fill_(-1.0)

    def forward(self, x: Tensor, covariates: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each ``(n_cells, n_latent)``; ``x`` is log-normalized for the linear part, else log1p."""
        if self.linear is not None:
            x = x - self.center
            if self.training:
                # torch.nn.Dropout does the same, but its random numbers take three times as long on a CPU
                x = x * (torch.rand_like(x) >= _INPUT_DROPOUT_RATE) / (1 - _INPUT_DROPOUT_RATE)
        h = self.hidden(torch.cat([x, covariates], dim=-1))
        mean = _in_float32(self.mean, h)
        if self.linear is not None:
            mean = mean + self.linear(x)
        # outside of this range exp() is not finite or has no gradient
        return mean, _in_float32(self.log_var, h).clamp(-12.0, 8.0)


class Generator(nn.Module):
    """Gen: the mean expression of each gene.

    A deep generator has hidden layers with batch normalization. A log-linear one has none: its weights are loadings of
    the latent dimensions and offsets of types, batches and covariates, held by Gaussian priors. A small hidden layer
    beside them, the curve, adds nothing at the start; the prior of its output weights lets it grow with the evidence.

    Parameters
    ----------
    n_latent, n_joined, n_genes, n_hidden
        Latent dimensions, inputs joined to them (covariates, one-hot batch and type), genes, and the widths of a deep
        generator's hidden layers, in the order of computation. Without any it is log-linear.
    activation
        Output function: ``"softmax"`` for shares of the library size, ``"softplus"`` for multiples of a size factor,
        ``"relu"`` for the paper's non-negative values, ``"identity"`` for values of any sign.
    loading_scale, offset_scale
        Standard deviations, in log expression, of the priors of loadings around 0 and of offsets around their start.
    """

    prior_mean: Tensor
    n_cells: Tensor

    def __init__(
        self,
        n_latent: int,
        n_joined: int,
        n_genes: int,
        activation: Literal["softmax", "softplus", "relu", "identity"],
        n_hidden: Sequence[int] = (),
        *,
        loading_scale: float = 0.05,
        offset_scale: float = 0.3,
    ):
        super().__init__()
        self.n_latent, self.activation = n_latent, activation
        self.loading_scale, self.offset_scale = loading_scale, offset_scale
        n_input = n_latent + n_joined
        self.hidden = _mlp(n_input, n_hidden, "batch")
        self.mean = nn.Linear(n_hidden[-1] if n_hidden else n_input, n_genes)
        self.curve: nn.Sequential | None = None
        if not n_hidden:
            hidden, added = _mlp(n_input, [_CURVE_WIDTH], "layer"), nn.Linear(_CURVE_WIDTH, n_genes, bias=False)
            nn.init.zeros_(added.weight)
            self.curve = nn.Sequential(hidden, added)
        self.register_buffer("prior_mean", None if n_hidden else torch.zeros_like(self.mean.weight))
        self.register_buffer("n_cells", torch.tensor(math.inf))  # infinite until set: no penalty

    def initialize_means(self, mean: Tensor) -> None:
        """Set each gene's share of all counts (or its mean, if values are not counts), ``(n_genes,)``."""
        mean = mean.clamp(min=1e-8)
        if self.activation == "softmax":
            mean = mean.log()
        elif self.activation == "softplus":
            mean = mean.clamp(min=1e-6)
            mean = mean + torch.log(-torch.expm1(-mean))
        with torch.no_grad():
            self.mean.bias.copy_(mean)

    def initialize_weights(
        self, loadings: Tensor, offsets: Tensor | None, n_cells: int, batch_offsets: Tensor | None = None
    ) -> None:
        """Set a log-linear generator's weights, and center the priors of its offsets there.

        Inputs are latents, batches and types: loadings are ``(n_genes, n_latent)``, batch offsets ``(n_batch, n_genes)``, and
        type offsets ``(n_labels, n_genes)``. The more cells, the less the priors weigh.
        """
        weight = torch.zeros_like(self.mean.weight)
        if batch_offsets is not None:
            weight[:, self.n_latent : self.n_latent + len(batch_offsets)] = batch_offsets.T
        if offsets is not None:
            weight[:, -len(offsets) :] = offsets.T
        self.prior_mean.copy_(weight)
        weight[:, : loadings.shape[1]] = loadings
        with torch.no_grad():
            self.mean.weight.copy_(weight)
        self.n_cells.fill_(n_cells)

    def penalty(self) -> Tensor:
        """Negative log prior of the weights per training cell, up to a constant, scalar; 0 for a deep generator."""
        if self.curve is None:
            return self.n_cells.new_zeros(())
        squares = (self.mean.weight - self.prior_mean).square().sum(0)
        loadings, offsets = squares[: self.n_latent].sum(), squares[self.n_latent :].sum()
        penalty = loadings / self.loading_scale**2 + offsets / self.offset_scale**2
        (added,) = self.curve[-1].parameters()
        return (penalty + added.square().sum() / _CURVE_SCALE**2) / (2 * self.n_cells)

    def forward(self, z: Tensor, contrast: Tensor | None = None) -> Tensor:
        """Mean expression, ``(..., n_genes)``, for inputs ``(..., n_latent + n_joined)`` and factors on its logarithm."""
        out = self.output(z)
        if contrast is not None:
            out = out * contrast
        if self.activation == "softmax":
            return torch.softmax(out, dim=-1)
        if self.activation == "softplus":
            return softplus(out)
        return torch.relu(out) if self.activation == "relu" else out

    def output(self, z: Tensor) -> Tensor:
        """What the output function is applied to, ``(..., n_genes)``, for inputs ``(..., n_latent + n_joined)``."""
        # posterior samples have three dimensions, batch normalization takes two
        h = self.hidden(z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], -1)
        if self.curve is None:
            out = _in_float32(self.mean, h)
        else:
            # with few inputs a rounded product saves no time, but changes every gene's rate
            with torch.autocast(h.device.type, enabled=False):
                out = self.mean(h.float())
            out = out + self.curve(h)
        return out


class Classifier(nn.Module):
    """ACTINN (Ma and Pellegrini 2020): logits of a cell's type from layers M - 100 - 50 - 25 - types with ReLU."""

    def __init__(self, n_genes: int, n_types: int):
        super().__init__()
        self.layers = nn.Sequential(_mlp(n_genes, (100, 50, 25)), nn.Linear(25, n_types))

    def forward(self, x: Tensor) -> Tensor:
        """Logits, ``(n_cells, n_types)``, for log-normalized cells ``(n_cells, n_genes)``."""
        return self.layers(x).float()
