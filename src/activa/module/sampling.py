"""Sampling of cells from their likelihood, with a cost for counts that grows with the nonzero ones only."""

from __future__ import annotations

from typing import Any

import torch
from scvi.distributions import Normal
from torch import Generator, Tensor
from torch.distributions import MixtureSameFamily

from activa.module.likelihood import CellDistribution, OutlierNegativeBinomial

# above this mean number of clusters (see draw_counts) the gamma-Poisson draw is cheaper
_MAX_CLUSTERS = 8.0
# largest mean of a Poisson draw
MAX_RATE = 1e8


@torch.no_grad()
def draw_counts(px: CellDistribution, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
    r"""Draw counts and return the nonzero ones: their flat indices, ascending, int64, and values, float32.

    A negative binomial count is the total of a Poisson number of clusters with mean :math:`a = \theta \log(1 + \mu /
    \theta)`, whose sizes follow the logarithmic distribution with parameter :math:`\mu / (\mu + \theta)` (Quenouille
    1949). One uniform number per count decides by :math:`P(0) = e^{-a}` whether it is zero, as most are, and otherwise
    gives the number of clusters by inversion. Only nonzero counts draw sizes. The draw is exact up to float32's
    resolution of a uniform number (6e-8).
    """
    h = torch.log1p(px.mu / px.theta)
    a = px.theta * h
    if isinstance(px, OutlierNegativeBinomial):
        where = _chosen(a.numel(), float(px.outlier_share), generator, a.device)
        mu = (px.mu * px.outlier_factor).reshape(-1)[where]
        h.view(-1)[where] = torch.log1p(mu / px.outlier_theta)
        a.view(-1)[where] = px.outlier_theta * h.view(-1)[where]
    u = torch.rand(a.shape, generator=generator, device=a.device)
    # NaN (a diverged model) satisfies neither comparison: the count stays zero, and the loss reports the NaN
    where = ((u >= torch.exp(-a)) | (a > _MAX_CLUSTERS)).reshape(-1).nonzero().squeeze(-1)
    a, u, h = a.reshape(-1)[where], u.view(-1)[where], h.view(-1)[where]
    counts = torch.zeros_like(a)

    few = (a <= _MAX_CLUSTERS).nonzero().squeeze(-1)
    cluster = few.repeat_interleave(_invert_poisson(a[few], u[few]))
    # Kemp's (1981) draw from the logarithmic distribution: given q, a size exceeds k with probability q^k
    u = torch.rand(2, len(cluster), generator=generator, device=a.device)
    q = -torch.expm1(-h[cluster] * u[0])
    counts.index_add_(0, cluster, 1 + torch.floor(torch.log1p(-u[1]) / q.log()))

    many = (a > _MAX_CLUSTERS).nonzero().squeeze(-1)
    theta = a[many] / h[many]
    rate = torch.expm1(h[many]) * torch._standard_gamma(theta, generator=generator)
    counts[many] = torch.poisson(rate.clamp(max=MAX_RATE), generator=generator)
    kept = counts > 0
    return where[kept], counts[kept]


def _chosen(n: int, share: float, generator: Generator | None, device: torch.device) -> Tensor:
    """Indices below n, each chosen with probability ``share``, drawn by the geometric gaps between them."""
    if not share > 0:  # zero, or NaN in a diverged model
        return torch.empty(0, dtype=torch.long, device=device)
    found = [torch.full((1,), -1, dtype=torch.long, device=device)]
    while (last := int(found[-1][-1])) < n - 1:
        expected = (n - 1 - last) * share
        u = torch.rand(int(expected + 6 * expected**0.5 + 16), generator=generator, device=device, dtype=torch.float64)
        log_rest = torch.log1p(torch.tensor(-share, dtype=torch.float64, device=device))
        gaps = 1 + (torch.log1p(-u) / log_rest).clamp(max=n)
        found.append(last + gaps.long().cumsum(0))
    index = torch.cat(found[1:])
    return index[index < n]


def _invert_poisson(mean: Tensor, u: Tensor) -> Tensor:
    """Poisson counts, known to be positive, by inversion of the distribution function at ``u``."""
    p = torch.exp(-mean)
    cdf, count = p, torch.ones_like(mean, dtype=torch.long)
    active = torch.arange(mean.numel(), device=mean.device)
    for k in range(1, 60):  # at a mean of 8 a count of 60 has probability 1e-32
        p = p * mean / k
        cdf = cdf + p
        # where the mass is too small for float32 to add, the sum may stay below u forever
        more = ((u >= cdf) & ((p > 1e-9) | (mean > k))).nonzero().squeeze(-1)
        if not more.numel():
            break
        p, cdf, mean, u, active = (part[more] for part in (p, cdf, mean, u, active))
        count[active] = k + 1
    return count


def sample_cells(px: CellDistribution, generator: Generator | None = None) -> Tensor:
    """Draw cells without a gradient, ``(n_cells, n_genes)``, in a third of the time of ``px.sample()``."""
    with torch.no_grad():
        if isinstance(px, Normal):
            return px.loc + px.scale * torch.randn(px.loc.shape, generator=generator, device=px.loc.device)
        where, counts = draw_counts(px, generator)
        return torch.zeros_like(px.mu).view(-1).index_copy(0, where, counts).view_as(px.mu)


def sample_cells_with_gradient(px: CellDistribution) -> Tensor:
    """Draw cells with a gradient to their means: reparameterized if normal, else straight through the count."""
    if isinstance(px, Normal):
        return px.rsample()
    mean = px.mean
    return mean + (sample_cells(px) - mean).detach()


@torch.no_grad()
def sample_mixture(mixture: MixtureSameFamily, generator: Generator | None = None) -> Tensor:
    """``mixture.sample()`` of a mixture of Gaussians, bit for bit, with a generator."""
    components = mixture.component_distribution
    gaussians: Any = getattr(components, "base_dist", components)
    chosen = torch.multinomial(mixture.mixture_distribution.probs, 1, True, generator=generator).squeeze(-1)
    values = torch.normal(gaussians.loc, gaussians.scale, generator=generator)
    return values[torch.arange(len(chosen), device=chosen.device), chosen]
