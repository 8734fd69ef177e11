"""Work shared out among threads so that its result does not depend on how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def threads_of_one(device: torch.device) -> Iterator[ThreadPoolExecutor]:
    """As many Python threads as PyTorch uses on the CPU, each of whose operations then runs in that thread alone.

    Most operations on a block of cells are too small for several threads, and how a product is shared out among them shows
    in its last bits. A GPU has one Python thread. PyTorch's number of threads is put back at the end.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)  # new threads take it over
    pool = ThreadPoolExecutor(n_threads if device.type == "cpu" else 1)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(n_threads)
