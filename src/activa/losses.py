"""Losses of the introspective game: pure functions of per-cell terms.

Symbols are the paper's (Heydari et al. 2022, Eq. 4-5 and supplement H). ``L_REG`` is the Kullback-Leibler divergence of
the encoding of a cell from the prior, ``L_AE`` the negative log-likelihood of its reconstruction, ``L_CT`` the distance
between what the classifier says of a cell and of its reconstruction; ``r`` and ``g`` stand for the reconstruction of a
real cell and for a generated one, the two kinds of synthetic cells ``s``. Every per-cell term is a float tensor of
shape ``(n_cells,)`` in nats, and every function returns a scalar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import gaussian_nll_loss, mse_loss, relu


def regularization(mu: Tensor, log_var: Tensor) -> Tensor:
    r"""KL divergence of N(mu, exp(log_var)) from N(0, I), the paper's ``L_REG``, a value a cell.

    Parameters
    ----------
    mu, log_var
        Mean and log-variance of the encoding, shape ``(n_cells, n_latent)``.

    Returns
    -------
    Tensor of shape ``(n_cells,)``, nats.

    Examples
    --------
    >>> regularization(torch.zeros(1, 2), torch.zeros(1, 2))
    tensor([0.])
    """
    # L_REG = -1/2 sum_d (1 + log sigma_d^2 - mu_d^2 - sigma_d^2)
    return -0.5 * (1 + log_var - mu.square() - log_var.exp()).sum(-1)


def hinge_encoder(reg_synthetic: Sequence[Tensor], margin: Tensor | float, *, per_cell: bool = False) -> Tensor:
    r"""The encoder's hinge term: synthetic cells are to be encoded at least ``margin`` nats from the prior.

    Parameters
    ----------
    reg_synthetic
        ``L_REG`` of the encodings of the reconstructions and of the generated cells, each of shape ``(n_cells,)``.
    margin
        The paper's m, in nats.
    per_cell
        Whether the hinge is taken per cell before averaging (IntroVAE) or of the mean over cells (as the released
        ACTIVA does).

    Returns
    -------
    Scalar: :math:`\frac{1}{2} \sum_{s \in \{r, g\}} [m - L_{REG}(z_s)]^+`.

    Examples
    --------
    >>> hinge_encoder([torch.tensor([1.0, 5.0]), torch.tensor([9.0, 9.0])], margin=4.0)
    tensor(0.5000)
    """
    terms = [relu(margin - reg).mean() if per_cell else relu(margin - reg.mean()) for reg in reg_synthetic]
    return 0.5 * torch.stack(terms).sum()


def hinge_generator(reg_synthetic: Sequence[Tensor]) -> Tensor:
    r"""The generator's term: its cells are to be encoded where real cells are.

    Parameters
    ----------
    reg_synthetic
        As in :func:`hinge_encoder`, this time with a gradient that reaches the generator through the cells.

    Returns
    -------
    Scalar: :math:`\frac{1}{2} \sum_{s \in \{r, g\}} L_{REG}(z_s)`.

    Examples
    --------
    >>> hinge_generator([torch.tensor([1.0, 5.0]), torch.tensor([9.0, 9.0])])
    tensor(6.)
    """
    return 0.5 * torch.stack([reg.mean() for reg in reg_synthetic]).sum()


def soft_encoder(
    reconstruction_synthetic: Sequence[Tensor],
    reg_synthetic: Sequence[Tensor],
    *,
    scale: float,
    beta_rec: float = 1.0,
    beta_neg: float = 1.0,
) -> Tensor:
    r"""The encoder's term of Soft-IntroVAE (Daniel and Tamar 2021, arXiv 2012.13253, Eq. 5), divided by ``scale``.

    Parameters
    ----------
    reconstruction_synthetic, reg_synthetic
        ``L_AE`` and ``L_REG`` of the reconstructions and of the generated cells, each of shape ``(n_cells,)``.
    scale
        s, one over the number of genes: without it the exponential is zero in floating point.
    beta_rec, beta_neg
        Weights of ``L_AE`` and ``L_REG`` within the exponential.

    Returns
    -------
    Scalar: :math:`\frac{1}{4 s} \sum_{s' \in \{r, g\}} \exp(-2 s (\beta_{rec} L_{AE,s'} + \beta_{neg} L_{REG,s'}))`.
    The published loss multiplies the whole encoder loss by s; dividing both by s leaves the minimum where it is and
    puts this term on the scale, nats, of the real cells' ELBO.

    Examples
    --------
    >>> zero = torch.zeros(3)
    >>> soft_encoder([zero, zero], [zero, zero], scale=0.5)
    tensor(1.)
    """
    terms = [
        torch.exp(-2 * scale * (beta_rec * rec + beta_neg * reg)).mean()
        for rec, reg in zip(reconstruction_synthetic, reg_synthetic, strict=True)
    ]
    return torch.stack(terms).sum() / (4 * scale)


def sleep_encoder(z: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    r"""How badly the encoder reads generated cells, whose latents are known (sleep phase; Hinton et al. 1995).

    Parameters
    ----------
    z
        Latents that the cells were generated from, shape ``(n_cells, n_latent)``.
    mu, log_var
        Mean and log-variance of what the encoder makes of the cells, same shape.

    Returns
    -------
    Scalar: the mean over cells of :math:`-\log q(z_g \mid x_g)`, nats.

    Examples
    --------
    >>> sleep_encoder(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 2))
    tensor(1.8379)
    """
    return gaussian_nll_loss(mu, z, log_var.exp(), full=True, eps=1e-8, reduction="none").sum(-1).mean()


def classifier_consistency(
    logits: Tensor, logits_reconstruction: Tensor, *, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """``L_CT``: squared distance between the classifier's logits for cells and for their reconstructions.

    Parameters
    ----------
    logits, logits_reconstruction
        Shape ``(n_cells, n_types)``.
    reduction
        Over cells: the mean, like ``L_AE``, or the sum that the released code takes.

    Returns
    -------
    Scalar; the distance is summed over types.

    Examples
    --------
    >>> classifier_consistency(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]]))
    tensor(5.)
    """
    distance = mse_loss(logits_reconstruction, logits, reduction="none").sum(-1)
    return distance.mean() if reduction == "mean" else distance.sum()
