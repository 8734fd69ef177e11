"""scGAN and its conditional form cscGAN (Marouf et al. 2020, doi:10.1038/s41467-019-14018-z), written anew in PyTorch.

Architecture and settings are those of the released code and its parameters.json (github.com/imsb-uke/scGAN): genes in
three cells or more, scaled counts without a log, AMSGrad, and in the conditional critic a last layer for each type.
Departures, none of which costs the GAN time:

- The critic takes five steps per generator step, as its setting says; in the code the generator's run adds a sixth.
- Batch norm's running moments follow by 1% a batch, not 0.1%: after a short training they would still be those of the
  start, and generate from them.
- A minibatch's generated cells have the types of its real ones, so that the critic's loss and its penalty share them;
  the code draws types by frequency for the one, and runs the generator again for the other.
- Normal initial weights are not truncated. Conditions are the given types, not Louvain clusters.
- Only the training cells are filtered, and the genes that this drops come back as zeros.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

import anndata as ad
import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix, vstack
from torch import Tensor, nn
from torch.nn.functional import embedding

from activa.seeds import seeded

LIBRARY = 20_000
N_LATENT = 128
WIDTHS = (256, 512, 1024)
"""Of the generator; the critic's are the reverse."""
BATCH_SIZE = 128
CRITIC_STEPS = 5
PENALTY_WEIGHT = 10.0
LR, FINAL_LR, DECAY_STEPS = 1e-4, 1e-5, 1_000_000


class ConditionalBatchNorm(nn.Module):
    """Batch normalization over all cells, then a scale and an offset of each type."""

    def __init__(self, n_features: int, n_types: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(n_features, affine=False, momentum=0.01)
        self.scale = nn.Parameter(torch.ones(n_types, n_features))
        self.offset = nn.Parameter(torch.zeros(n_types, n_features))

    def forward(self, x: Tensor, types: Tensor) -> Tensor:
        """Normalized features of cells of these types."""
        # indexing sums its gradient in an order that depends on the number of threads
        return embedding(types, self.scale) * self.norm(x) + embedding(types, self.offset)


class Generator(nn.Module):
    """From noise to cells that sum to LIBRARY. Without conditions there is one type."""

    def __init__(self, n_genes: int, n_types: int = 1):
        super().__init__()
        sizes = zip((N_LATENT, *WIDTHS[:-1]), WIDTHS, strict=True)
        self.linears = nn.ModuleList(nn.Linear(n_in, n_out, bias=False) for n_in, n_out in sizes)
        self.norms = nn.ModuleList(ConditionalBatchNorm(width, n_types) for width in WIDTHS)
        self.output = nn.Linear(WIDTHS[-1], n_genes)
        for linear in self.linears:
            nn.init.xavier_uniform_(linear.weight)
        _init_before_relu(self.output)

    def forward(self, z: Tensor, types: Tensor) -> Tensor:
        """Cells of these types."""
        for linear, norm in zip(self.linears, self.norms, strict=True):
            z = norm(linear(z), types).relu()
        x = self.output(z).relu()
        # library-size normalization; a cell without values stays empty
        return x * (LIBRARY / (x.sum(dim=1, keepdim=True) + np.finfo(float).eps))


class Critic(nn.Module):
    """From cells to a score, by a last layer for each type."""

    def __init__(self, n_genes: int, n_types: int = 1):
        super().__init__()
        widths = WIDTHS[::-1]
        layers: list[nn.Module] = []
        for n_in, n_out in zip((n_genes, *widths[:-1]), widths, strict=True):
            layers += [_init_before_relu(nn.Linear(n_in, n_out)), nn.ReLU()]
        self.hidden = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], n_types)
        # TensorFlow counts every type's inputs and outputs
        nn.init.xavier_uniform_(self.head.weight.T[None])
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor, types: Tensor) -> Tensor:
        """A score for each cell."""
        return self.head(self.hidden(x)).gather(1, types[:, None]).squeeze(1)


def _init_before_relu(linear: nn.Linear) -> nn.Linear:
    """He initialization, over the mean of inputs and outputs."""
    nn.init.xavier_normal_(linear.weight, gain=math.sqrt(2))
    nn.init.zeros_(linear.bias)
    return linear


def gradient_penalty(critic: Callable[[Tensor, Tensor], Tensor], x: Tensor, types: Tensor) -> Tensor:
    r""":math:`E (\lVert \nabla_x D(x) \rVert - 1)^2` at these cells."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x, types).sum(), x, create_graph=True)
    return (slope.norm(dim=1) - 1).square().mean()


class ScGAN:
    """scGAN, or with ``labels_key`` cscGAN. ``train`` may be called again, and goes on.

    Parameters
    ----------
    adata
        Training cells: counts in CSR.
    labels_key
        Column of obs with the types.
    seed
        Of the initial weights, the minibatches and the noise. The global random state is left as it was.
    """

    def __init__(self, adata: ad.AnnData, *, labels_key: str | None = None, seed: int = 0):
        self.labels_key, self.var = labels_key, adata.var
        counts = csr_matrix(adata.X, dtype=np.float32)
        cells = counts.getnnz(axis=1) >= 10
        self._genes = np.flatnonzero(counts[cells].getnnz(axis=0) >= 3)
        counts = counts[cells][:, self._genes]
        library = np.asarray(counts.sum(axis=1))
        # genes that were dropped may have been all of a cell's
        self._cells = csr_matrix(counts.multiply(LIBRARY / np.maximum(library, 1)), dtype=np.float32)
        labels = np.zeros(counts.shape[0]) if labels_key is None else adata.obs[labels_key].to_numpy(dtype=str)[cells]
        self.types, self._codes = np.unique(labels, return_inverse=True)

        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        with seeded(seed):
            self.generator = Generator(len(self._genes), len(self.types)).to(self.device)
            self.critic = Critic(len(self._genes), len(self.types)).to(self.device)
        self._rng, self._torch_rng = np.random.default_rng(seed), torch.Generator(self.device).manual_seed(seed)
        self.generator_optimizer, self.critic_optimizer = (
            torch.optim.Adam(network.parameters(), lr=LR, betas=(0.5, 0.9), amsgrad=True, fused=True)
            for network in (self.generator, self.critic)
        )
        self.critic_losses: list[float] = []
        """Of the last critic step of each generator step."""

    def train(self, *, max_steps: float = math.inf, seconds: float = math.inf) -> None:
        """Take steps of the generator until there have been so many, or for so long."""
        start, first = time.perf_counter(), len(self.critic_losses)
        self.generator.train()
        while len(self.critic_losses) - first < max_steps and time.perf_counter() - start < seconds:
            self._set_learning_rate()
            for _ in range(CRITIC_STEPS):
                critic_loss = self._critic_step()
            self._generator_step()
            # reading the loss also waits for the device, for the clock
            self.critic_losses.append(critic_loss.item())

    def generate(self, *, n: int | None = None, labels: Sequence[str] | None = None, seed: int = 0) -> ad.AnnData:
        """``n`` cells, or in the conditional form cells of these types: values that sum to LIBRARY."""
        if (labels is None) != (self.labels_key is None):
            raise ValueError("cscGAN generates cells of labels, scGAN n cells.")
        code = {label: i for i, label in enumerate(self.types)}
        codes = np.zeros(n, dtype=int) if labels is None else np.array([code[label] for label in labels], dtype=int)
        rng = torch.Generator(self.device).manual_seed(seed)
        self.generator.eval()
        rows = []
        with torch.inference_mode():
            for start in range(0, len(codes), 1024):
                types = torch.as_tensor(codes[start : start + 1024], device=self.device)
                made = self.generator(self._noise(len(types), rng), types).cpu().numpy()
                cells = np.zeros((len(made), len(self.var)), dtype=np.float32)
                cells[:, self._genes] = made
                rows.append(csr_matrix(cells))
        obs = pd.DataFrame(index=np.arange(len(codes)).astype(str))
        if labels is not None:
            obs[self.labels_key] = np.asarray(labels)
        return ad.AnnData(vstack(rows, format="csr"), obs=obs, var=self.var.copy())

    def _noise(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.randn(n, N_LATENT, generator=rng, device=self.device)

    def _minibatch(self) -> tuple[Tensor, Tensor]:
        """Real cells and their types."""
        n_cells = len(self._codes)
        chosen = self._rng.choice(n_cells, size=min(BATCH_SIZE, n_cells), replace=False)
        cells, codes = self._cells[chosen].toarray(), self._codes[chosen]
        return torch.as_tensor(cells, device=self.device), torch.as_tensor(codes, device=self.device)

    def _set_learning_rate(self) -> None:
        lr = LR * (FINAL_LR / LR) ** (len(self.critic_losses) / DECAY_STEPS)
        for optimizer in (self.generator_optimizer, self.critic_optimizer):
            optimizer.param_groups[0]["lr"] = lr

    def _critic_step(self) -> Tensor:
        real, types = self._minibatch()
        with torch.no_grad():
            fake = self.generator(self._noise(len(real), self._torch_rng), types)
        alpha = torch.rand(len(real), 1, generator=self._torch_rng, device=self.device)
        # E D(x_g) - E D(x) + lambda E (||grad D(x_i)|| - 1)^2, x_i between a real and a generated cell
        loss = self.critic(fake, types).mean() - self.critic(real, types).mean()
        loss = loss + PENALTY_WEIGHT * gradient_penalty(self.critic, torch.lerp(real, fake, alpha), types)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        return loss.detach()

    def _generator_step(self) -> None:
        chosen = self._rng.integers(len(self._codes), size=BATCH_SIZE)
        types = torch.as_tensor(self._codes[chosen], device=self.device)
        loss = -self.critic(self.generator(self._noise(BATCH_SIZE, self._torch_rng), types), types).mean()
        self.generator_optimizer.zero_grad()
        loss.backward(inputs=list(self.generator.parameters()))
        self.generator_optimizer.step()
