"""Losses of the introspective game, pure functions of per-cell terms, and their weights.

The symbols are the paper's (Heydari et al. 2022, Eq. 4-5 and supplement H). ``L_REG`` is the Kullback-Leibler divergence of
a cell's encoding from the prior, ``L_AE`` the negative log-likelihood of its reconstruction, and ``L_CT`` the distance
between the classifier's logits for a cell and for its reconstruction. The two kinds of synthetic cells ``s`` are
reconstructions of real cells, ``r``, and generated cells, ``g``. Every per-cell term is a float tensor of shape
``(n_cells,)`` in nats; the functions that combine them return a scalar. Sequences hold the terms of ``r`` and ``g``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, relu

SoftAdapt = Literal["original", "normalized", "loss-weighted"]


def regularization(mu: Tensor, log_var: Tensor) -> Tensor:
    r"""The paper's ``L_REG``, ``(n_cells,)``: KL divergence of N(mu, exp(log_var)), ``(n_cells, n_latent)``, from N(0, I).

    >>> regularization(torch.ones(1, 2), torch.zeros(1, 2))
    tensor([1.])
    """
    # L_REG = -1/2 sum_d (1 + log sigma_d^2 - mu_d^2 - sigma_d^2)
    return -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(-1)


def hinge_encoder(reg_synthetic: Sequence[Tensor], margin: Tensor | float, *, per_cell: bool = False) -> Tensor:
    r"""The encoder's hinge, :math:`\frac{1}{2} \sum_{s \in \{r, g\}} [m - L_{REG}(z_s)]^+` with margin m in nats.

    With ``per_cell`` the hinge is that of each cell (IntroVAE) instead of the cells' mean (the released ACTIVA).

    >>> hinge_encoder([torch.tensor([1.0, 5.0]), torch.tensor([9.0, 9.0])], margin=4.0)
    tensor(0.5000)
    """
    terms = [relu(margin - reg).mean() if per_cell else relu(margin - reg.mean()) for reg in reg_synthetic]
    return 0.5 * torch.stack(terms).sum()


def hinge_generator(reg_synthetic: Sequence[Tensor]) -> Tensor:
    r"""The generator's term, :math:`\frac{1}{2} \sum_{s \in \{r, g\}} L_{REG}(z_s)`.

    >>> hinge_generator([torch.tensor([1.0, 5.0]), torch.tensor([9.0, 9.0])])
    tensor(6.)
    """
    return 0.5 * torch.stack([reg.mean() for reg in reg_synthetic]).sum()


def soft_encoder(
    reconstruction_synthetic: Sequence[Tensor], reg_synthetic: Sequence[Tensor], *, scale: float
) -> Tensor:
    r"""The encoder's term of Soft-IntroVAE (Daniel and Tamar 2021, arXiv 2012.13253, Eq. 5), divided by ``scale``.

    .. math:: \frac{1}{4 s} \sum_{s' \in \{r, g\}} \exp(-2 s (L_{AE,s'} + L_{REG,s'}))

    The scale s is one over the number of genes; without it the exponential underflows to zero. The published loss
    multiplies the whole encoder loss by s. Dividing it by s keeps the minimum and puts this term on the scale of the real
    cells' ELBO, in nats.

    >>> zero = torch.zeros(3)
    >>> soft_encoder([zero, zero], [zero, zero], scale=0.5)
    tensor(1.)
    """
    terms = [
        torch.exp(-2 * scale * (reconstruction + reg)).mean()
        for reconstruction, reg in zip(reconstruction_synthetic, reg_synthetic, strict=True)
    ]
    return torch.stack(terms).sum() / (4 * scale)


def classifier_consistency(logits: Tensor, logits_reconstruction: Tensor) -> Tensor:
    """``L_CT``: squared distance of the classifier's logits, ``(n_cells, n_types)``, for cells and reconstructions.

    >>> classifier_consistency(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    tensor(5.)
    """
    return mse_loss(logits_reconstruction, logits, reduction="none").sum(-1).mean()


def energy_distance(a: Tensor, b: Tensor) -> Tensor:
    r"""Energy distance of two samples, without bias, scalar: :math:`2 E|A - B| - E|A - A'| - E|B - B'|`.

    Samples are ``(n, d)`` and ``(m, d)`` (Székely and Rizzo 2013, doi:10.1016/j.jspi.2013.03.018). Around 0 for samples of
    one distribution, above it otherwise.

    >>> energy_distance(torch.zeros(2, 1), torch.ones(3, 1)).round(decimals=2)
    tensor(2.)
    """

    def distances(p: Tensor, q: Tensor) -> Tensor:
        return ((p[:, None] - q).square().sum(-1) + 1e-10).sqrt()  # the root of zero has no gradient

    within = [distances(p, p).sum() / (len(p) * (len(p) - 1)) for p in (a, b)]
    return 2 * distances(a, b).mean() - within[0] - within[1]


def softadapt_weights(recent: Tensor, *, variant: SoftAdapt = "original", beta: float = 0.1) -> Tensor:
    r"""SoftAdapt's weights of the parts of a loss (Heydari, Thompson and Mehio 2019, arXiv 1912.12355).

    With :math:`f_i` the recent mean of a part and :math:`s_i` its recent rate of change, the original and the loss-weighted
    variant are

    .. math:: \alpha_i = \frac{e^{\beta s_i}}{\sum_j e^{\beta s_j}}, \qquad
        \alpha_i = \frac{f_i e^{\beta s_i}}{\sum_j f_j e^{\beta s_j}}

    The normalized variant first divides the rates by :math:`\sum_j |s_j|`. A positive beta gives more weight to the part
    that falls slowest, or rises. Values are ``(n_times, n_parts)``, oldest first, with at least two times; the weights
    ``(n_parts,)`` sum to one.

    >>> softadapt_weights(torch.tensor([[4.0, 4.0], [2.0, 4.0]]), beta=1.0)
    tensor([0.1192, 0.8808])
    """
    if recent.dim() != 2 or len(recent) < 2:
        raise ValueError(f"recent must have at least two times, (n_times, n_parts), got shape {tuple(recent.shape)}.")
    rate = (recent[-1] - recent[0]) / (len(recent) - 1)
    if variant == "normalized":
        rate = rate / rate.abs().sum().clamp(min=1e-8)
    weights = torch.softmax(beta * rate, dim=0)
    if variant == "loss-weighted":
        weights = weights * recent.mean(0)
        weights = weights / weights.sum()
    return weights
