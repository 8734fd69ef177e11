"""Threads that each compute alone, so that results do not depend on their number; and delayed interrupts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch

_making = threading.Lock()


def single_threaded_pool(device: torch.device) -> ThreadPoolExecutor:
    """As many Python threads as PyTorch uses on the CPU, each of which runs its operations alone.

    Most operations on a block of cells are too small for several threads, and how a matrix product is divided among
    threads shows in its last bits. A GPU has one Python thread. The threads are kept for later calls, and PyTorch's
    number of threads in all others stays as it is.
    """
    with _making:
        return _pool(torch.get_num_threads() if device.type == "cpu" else 1, os.getpid())


@cache
def _pool(n_threads: int, process: int) -> ThreadPoolExecutor:
    """The threads of one process: a fork does not inherit them."""
    n_outside = torch.get_num_threads()
    started = threading.Barrier(n_threads + 1)

    def start() -> None:
        torch.get_num_threads()  # a thread's first use of PyTorch sets its number: what is set before is lost
        torch.set_num_threads(1)  # of this thread, and the default of threads that have not used PyTorch yet
        started.wait()

    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="activa", initializer=start)
    for _ in range(n_threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(n_outside)  # gives new threads the default they had
    return pool


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Delay an interrupt (SIGINT), which only the main thread gets, to the end of a block of milliseconds of work."""
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    waiting: list[tuple] = []
    signal.signal(signal.SIGINT, lambda *interrupt: waiting.append(interrupt))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if waiting:
            handler(*waiting[0])
