"""Seeds: checked, mixed into generators of their own, and for libraries that only know global random state."""

from __future__ import annotations

import hashlib
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from activa.arguments import check_integers

MAX_SEED = 2**32 - 1
"""The largest seed that NumPy's and scikit-learn's older generators take."""


def check_seed(seed: int | None, default: int | None = None) -> int:
    """The seed, an integer from 0 to 2**32 - 1; for None that of ``scvi.settings.seed``, or if it is not set the default.

    The default None is a fresh seed.
    """
    if seed is None and (scvi := sys.modules.get("scvi")) is not None:
        seed = scvi.settings.seed
    seed = default if seed is None else seed
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    check_integers(seed=seed, least=0, most=MAX_SEED)
    return int(seed)


def torch_generator(device: torch.device | str, *seed: int) -> torch.Generator:
    """A generator of its own for a seed, mixed of non-negative integers: each block of cells gets its own stream."""
    return torch.Generator(device).manual_seed(derived_seed(*seed))


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Run with all global generators (Python, NumPy, PyTorch on CPU and CUDA) seeded, then restore their states."""
    state = derived_seed(*seed)
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        random.seed(state)
        np.random.seed(state)
        torch.manual_seed(state)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def derived_seed(*seed: int) -> int:
    """A seed of its own for a part of the work, mixed of non-negative integers."""
    return int(np.random.SeedSequence(seed).generate_state(1)[0])


def tag_of(*parts: bytes | np.ndarray) -> str:
    """Eight hexadecimal digits that tell apart what was made of different parts, of which none is copied."""
    digest = hashlib.blake2b(digest_size=4)
    for part in parts:
        digest.update(np.ascontiguousarray(part) if isinstance(part, np.ndarray) else part)
    return digest.hexdigest()


def torch_state() -> list[torch.Tensor]:
    """States of PyTorch's global generators: of the CPU, then of each CUDA device in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *cuda]


def set_torch_state(states: list[torch.Tensor]) -> None:
    """Restore what :func:`torch_state` returned, as far as the devices exist."""
    cpu, *cuda = (state.cpu() for state in states)
    torch.set_rng_state(cpu)
    for device, state in zip(range(torch.cuda.device_count()), cuda, strict=False):
        torch.cuda.set_rng_state(state, device)
