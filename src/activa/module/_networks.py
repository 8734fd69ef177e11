"""The three networks: encoder (and critic), generator, and the ACTINN classifier."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, softplus

Norm = Literal["batch", "layer", "none"]

# of the layer beside a log-linear generator: its width, and the standard deviation of its output weights' prior
_CURVE_WIDTH, _CURVE_SCALE = 64, 0.1


def _mlp(n_input: int, widths: Sequence[int], norm: Norm = "none", dropout_rate: float = 0.0) -> nn.Sequential:
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
    """A last layer: in mixed precision its product is rounded, and its bias, which may be large, is not."""
    if torch.is_autocast_enabled(h.device.type):
        return linear(h, layer.weight).float() + layer.bias
    return layer(h)


class Encoder(nn.Module):
    """q(z | x, b): the mean and log-variance of a cell's latent, and through them the critic's score.

    Parameters
    ----------
    n_genes, n_covariates
        Genes, and whatever is joined to them (one-hot batch and covariates).
    n_latent
        Latent dimensions.
    n_hidden
        Width of each hidden layer.
    norm
        Normalization of the hidden layers.
    dropout_rate
        Dropout of the hidden layers.
    input_dropout_rate
        Share of the genes hidden in a training step. With few cells and many genes it keeps the encoder from learning
        cells by heart.
    linear
        Whether a linear map of log-normalized expression is added to the mean: principal components, which
        :meth:`start_from` sets and training bends.
    """

    center: Tensor

    def __init__(
        self,
        n_genes: int,
        n_covariates: int,
        n_latent: int,
        n_hidden: Sequence[int],
        norm: Norm,
        dropout_rate: float,
        input_dropout_rate: float,
        linear: bool = False,
    ):
        super().__init__()
        self.input_dropout_rate = input_dropout_rate
        self.hidden = _mlp(n_genes + n_covariates, n_hidden, norm, dropout_rate)
        self.mean = nn.Linear(n_hidden[-1], n_latent)
        self.log_var = nn.Linear(n_hidden[-1], n_latent)
        self.linear = nn.Linear(n_genes, n_latent, bias=False) if linear else None
        self.register_buffer("center", torch.zeros(n_genes if linear else 0))

    def start_from(self, center: Tensor, projection: Tensor) -> None:
        """Start from a projection of centered log-normalized cells.

        Parameters
        ----------
        center
            Mean log-normalized expression, ``(n_genes,)``.
        projection
            ``(n_latent, n_genes)``.
        """
        assert self.linear is not None
        with torch.no_grad():
            self.center.copy_(center)
            self.linear.weight.copy_(projection)
            # the rest starts small beside it, and the latents nearly as certain as the projection is
            self.mean.weight.mul_(0.1)
            self.log_var.weight.mul_(0.1)
            self.log_var.bias.fill_(-1.0)

    def forward(self, x: Tensor, covariates: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance, each ``(n_cells, n_latent)``.

        Parameters
        ----------
        x
            Log-normalized cells where there is a linear part, else log1p of counts (or values), ``(n_cells, n_genes)``.
        covariates
            What is joined to them, ``(n_cells, n_covariates)``.
        """
        if self.linear is not None:
            x = x - self.center
        if self.training and self.input_dropout_rate > 0:
            # as torch.nn.Dropout, whose draws take three times as long on a CPU
            x = x * (torch.rand_like(x) >= self.input_dropout_rate) / (1 - self.input_dropout_rate)
        h = self.hidden(torch.cat([x, covariates], dim=-1))
        mean = _in_float32(self.mean, h)
        if self.linear is not None:
            mean = mean + self.linear(x)
        # beyond this range exp() is not finite or has no gradient left to learn from
        return mean, _in_float32(self.log_var, h).clamp(-12.0, 8.0)


class Generator(nn.Module):
    """Gen: the mean expression of each gene, and the zero-inflation logits where the likelihood has them.

    Parameters
    ----------
    n_latent, n_joined
        Latent dimensions, and how much is joined to them (covariates, one-hot batch and type).
    n_genes
        Genes.
    n_hidden
        Width of each hidden layer, in the order of computation; none for a log-linear generator, whose weights are
        loadings of the latent dimensions and offsets of the types, batches and covariates.
    norm
        Normalization of the hidden layers; the last layer has none.
    activation
        What makes the mean expression non-negative: ``"softmax"`` gives shares of the library size, ``"softplus"``
        multiples of a size factor, ``"relu"`` the paper's non-negative values, ``"identity"`` values of any sign.
    zero_inflated
        Whether to give zero-inflation logits too.
    loading_scale, offset_scale
        Standard deviations of the Gaussian priors of a log-linear generator's loadings, around 0, and of its offsets,
        around their start.
    curved
        Whether a log-linear generator has a hidden layer beside it, which adds nothing at the start. A Gaussian prior
        around 0 holds its output weights too, so that few cells bend expression little and many as much as they show.
    """

    prior_mean: Tensor
    n_cells: Tensor

    def __init__(
        self,
        n_latent: int,
        n_joined: int,
        n_genes: int,
        n_hidden: Sequence[int],
        norm: Norm,
        activation: Literal["softmax", "softplus", "relu", "identity"],
        zero_inflated: bool,
        loading_scale: float = 0.05,
        offset_scale: float = 0.3,
        curved: bool = False,
    ):
        super().__init__()
        self.activation = activation
        self.loading_scale, self.offset_scale = loading_scale, offset_scale
        self.n_latent = n_latent
        self.hidden = _mlp(n_latent + n_joined, n_hidden, norm)
        width = n_hidden[-1] if n_hidden else n_latent + n_joined
        self.mean = nn.Linear(width, n_genes)
        self.dropout_logits = nn.Linear(width, n_genes) if zero_inflated else None
        self.curve: nn.Sequential | None = None
        if curved:
            hidden, added = _mlp(width, [_CURVE_WIDTH], "layer"), nn.Linear(_CURVE_WIDTH, n_genes, bias=False)
            nn.init.zeros_(added.weight)
            self.curve = nn.Sequential(hidden, added)
        self.register_buffer("prior_mean", None if n_hidden else torch.zeros_like(self.mean.weight))
        self.register_buffer("n_cells", torch.tensor(math.inf))  # until it is known, there is no prior

    def start_at(self, mean: Tensor) -> None:
        """Start from each gene's share of all counts (or its mean, under ReLU), ``(n_genes,)``."""
        mean = mean.clamp(min=1e-8)
        if self.activation == "softmax":
            mean = mean.log()
        elif self.activation == "softplus":
            mean = mean.clamp(min=1e-6)
            mean = mean + torch.log(-torch.expm1(-mean))
        with torch.no_grad():
            self.mean.bias.copy_(mean)

    def start_from(
        self, loadings: Tensor, offsets: Tensor | None, n_cells: int, batch_offsets: Tensor | None = None
    ) -> None:
        """Start a log-linear generator from given weights, and hold it near them in training.

        Parameters
        ----------
        loadings
            Of the latent dimensions, the first inputs, ``(n_genes, n_latent)``.
        offsets
            Of the types, the last inputs, ``(n_labels, n_genes)``; None where types are no input.
        n_cells
            Cells that are trained on, which weigh against the priors.
        batch_offsets
            Of the batches, the inputs after the latent, ``(n_batch, n_genes)``; None where they are no input.
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
        """Negative log prior of a log-linear generator's weights, a cell and up to a constant, scalar; else 0."""
        if self.prior_mean is None:
            return self.n_cells.new_zeros(())
        squares = (self.mean.weight - self.prior_mean).square().sum(0)
        loadings, offsets = squares[: self.n_latent].sum(), squares[self.n_latent :].sum()
        penalty = loadings / self.loading_scale**2 + offsets / self.offset_scale**2
        if self.curve is not None:
            (added,) = self.curve[-1].parameters()
            penalty = penalty + added.square().sum() / _CURVE_SCALE**2
        return penalty / (2 * self.n_cells)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor | None]:
        """Mean expression and zero-inflation logits (or None), each ``(..., n_genes)``."""
        # the hidden layers take two dimensions (batch norm), posterior samples come with three
        h = self.hidden(z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], -1)
        if self.prior_mean is None:
            out = _in_float32(self.mean, h)
        else:
            # few inputs: a rounded product would save no time, and be seen in every gene's rate
            with torch.autocast(h.device.type, enabled=False):
                out = self.mean(h.float())
        if self.curve is not None:
            out = out + self.curve(h)
        if self.activation == "softmax":
            mean = torch.softmax(out, dim=-1)
        elif self.activation == "softplus":
            mean = softplus(out)
        else:
            mean = torch.relu(out) if self.activation == "relu" else out
        return mean, None if self.dropout_logits is None else _in_float32(self.dropout_logits, h)


class Classifier(nn.Module):
    """ACTINN (Ma and Pellegrini 2020): the logits of a cell's type; M - 100 - 50 - 25 - types with ReLU.

    Parameters
    ----------
    n_genes
        Genes.
    n_types
        Cell types.
    n_hidden
        Width of each hidden layer.
    """

    def __init__(self, n_genes: int, n_types: int, n_hidden: Sequence[int] = (100, 50, 25)):
        super().__init__()
        self.layers = nn.Sequential(_mlp(n_genes, n_hidden), nn.Linear(n_hidden[-1], n_types))

    def forward(self, x: Tensor) -> Tensor:
        """Logits ``(n_cells, n_types)`` of log-normalized cells ``(n_cells, n_genes)``."""
        return self.layers(x).float()
