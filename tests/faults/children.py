"""Processes to be interrupted, killed and starved, forked from one that has the package imported."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["activa", "faults.work", "faults.starved"])


def start(work: Callable[..., None], *args: Any) -> Any:
    """A process of its own group that does this work."""
    process = CONTEXT.Process(target=_alone, args=(work, args))
    process.start()
    return process


def _alone(work: Callable[..., None], args: tuple) -> None:
    import torch

    os.setsid()
    torch.set_num_threads(1)
    work(*args)


def wait_for(path: Path, process: Any, seconds: float = 300.0) -> None:
    """Wait until a process has written a file."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.is_alive() or path.exists(), f"the process ended with {process.exitcode} before it wrote {path}"
        assert time.monotonic() < end, f"{path} was not written in {seconds} s"
        time.sleep(0.002)


def end(process: Any, signal_: int, seconds: float = 300.0) -> None:
    """Send a signal to a process and those that it has started, and wait for its end."""
    if process.is_alive():
        os.killpg(process.pid, signal_)
    process.join(seconds)
    assert process.exitcode is not None, "the process did not end"
