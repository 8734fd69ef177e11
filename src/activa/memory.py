"""How much memory there is, so that a call that cannot end says so before it begins."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

try:
    import resource
except ImportError:  # Windows has no such limits
    resource = None  # type: ignore[assignment]

_CGROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that this process can still take, at most; None where the system does not tell.

    The least of what the machine has free (with swap space), of what the container's limit leaves, and of what the limit
    on the process's address space leaves.
    """
    found = []
    with suppress(OSError, ValueError, IndexError, KeyError):
        told = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        found.append(sum(int(told[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree")))
    with suppress(OSError, ValueError, KeyError):
        used = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
        found.append(int((_CGROUP / "memory.max").read_text()) - int(used["anon"]))
    with suppress(OSError, ValueError, AttributeError):
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        if limit != resource.RLIM_INFINITY:
            found.append(limit - pages * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def check_memory(n_bytes: float, *, what: str, instead: str) -> None:
    """Raise a MemoryError, which says what to do instead, if there are fewer bytes than are needed."""
    available = available_memory()
    if available is not None and n_bytes > available:
        has = f"{max(available, 0) / 2**30:.1f} GiB are available"
        raise MemoryError(f"{what} need about {n_bytes / 2**30:.1f} GiB of memory, and {has}: {instead}.")
