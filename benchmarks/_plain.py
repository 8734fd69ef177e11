"""The paper's networks and its introspective step written plainly: what a reader of the paper would write.

Supplement H and Eq. 4-5 in PyTorch: float32, a pass for each term, Adam as it comes, dense cells in memory. It has no
part of activa, so that the two can be compared.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

MARGIN, ALPHA_1, ALPHA_2 = 110.0, 1.0, 0.5


def mlp(widths: list[int]) -> nn.Sequential:
    """Linear, ReLU and BatchNorm for each layer."""
    layers: list[nn.Module] = []
    for n_input, n_output in zip(widths[:-1], widths[1:], strict=True):
        layers += [nn.Linear(n_input, n_output), nn.ReLU(), nn.BatchNorm1d(n_output)]
    return nn.Sequential(*layers)


class PlainACTIVA(nn.Module):
    """Encoder M - 1024 - 512 - 256 - 2 x 128, generator 128 - 256 - 512 - 1024 - M, ACTINN M - 100 - 50 - 25 - types."""

    def __init__(self, n_genes: int, n_types: int):
        super().__init__()
        self.hidden = mlp([n_genes, 1024, 512, 256])
        self.mean, self.log_var = nn.Linear(256, 128), nn.Linear(256, 128)
        self.generator = nn.Sequential(mlp([128, 256, 512, 1024]), nn.Linear(1024, n_genes), nn.ReLU())
        self.classifier = nn.Sequential(
            nn.Linear(n_genes, 100), nn.ReLU(), nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 25), nn.ReLU(),
            nn.Linear(25, n_types),
        )  # fmt: skip
        encoder = [self.hidden, self.mean, self.log_var]
        self.encoder_parameters = [p for part in encoder for p in part.parameters()]
        self.optimizers = [
            torch.optim.Adam(self.encoder_parameters, lr=2e-4),
            torch.optim.Adam(self.generator.parameters(), lr=2e-4),
            torch.optim.Adam(self.classifier.parameters(), lr=1e-4),
        ]

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """L_REG of the cells, and latents drawn from their encodings."""
        h = self.hidden(x)
        mu, log_var = self.mean(h), self.log_var(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * log_var)
        return -0.5 * (1 + log_var - mu**2 - log_var.exp()).sum(1), z

    def step(self, x: Tensor, y: Tensor) -> dict[str, float]:
        """One step of the game; its losses."""
        for optimizer in self.optimizers:
            optimizer.zero_grad()
        reg, z = self.encode(x)
        x_r, x_g = self.generator(z), self.generator(torch.randn_like(z))
        l_ae = ((x - x_r) ** 2).sum(1).mean()
        logits = self.classifier(x)
        l_ct = ((logits.detach() - self.classifier(x_r)) ** 2).sum(1).mean()
        shared = ALPHA_2 * (l_ae + l_ct)

        # Eq. 4: synthetic cells are constants
        hinge = 0.5 * sum((MARGIN - self.encode(s.detach())[0].mean()).clamp(min=0) for s in (x_r, x_g))
        loss_e = ALPHA_1 * (reg.mean() + hinge) + shared
        loss_e.backward(inputs=self.encoder_parameters, retain_graph=True)
        # Eq. 5: they carry the gradient of the critic's score
        loss_g = ALPHA_1 * 0.5 * sum(self.encode(s)[0].mean() for s in (x_r, x_g)) + shared
        loss_g.backward(inputs=list(self.generator.parameters()))
        loss_c = cross_entropy(logits, y)
        loss_c.backward(inputs=list(self.classifier.parameters()))
        for optimizer in self.optimizers:
            optimizer.step()
        return {"L_E": loss_e.item(), "L_AE": l_ae.item(), "L_REG": reg.mean().item()}
