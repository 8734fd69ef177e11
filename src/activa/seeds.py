"""Seeded code that leaves the global random state as it was."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from activa.arguments import check_integers

MAX_SEED = 2**32 - 1
"""The largest that NumPy's and scikit-learn's older generators take."""


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Run with every global generator (Python, NumPy, PyTorch on CPU and CUDA) seeded, then put their states back.

    Parameters
    ----------
    *seed
        Non-negative integers, mixed into one: ``seeded(seed, block)`` gives each block its own stream.
    """
    state = int(np.random.SeedSequence(seed).generate_state(1)[0])
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


def torch_state() -> list[torch.Tensor]:
    """States of PyTorch's global generators, on the CPU and then on each CUDA device that is in use."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *cuda]


def set_torch_state(states: list[torch.Tensor]) -> None:
    """Put back what :func:`torch_state` gave, as far as there are such devices."""
    cpu, *cuda = (state.cpu() for state in states)
    torch.set_rng_state(cpu)
    for device, state in zip(range(torch.cuda.device_count()), cuda, strict=False):
        torch.cuda.set_rng_state(state, device)


def check_seed(seed: int | None) -> int:
    """The seed, or a fresh one for None.

    Raises
    ------
    TypeError, ValueError
        If it is not a whole number from 0 to 2**32 - 1.
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    check_integers(seed=seed, least=0, most=MAX_SEED)
    return int(seed)
