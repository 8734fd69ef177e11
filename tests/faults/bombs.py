"""Exports that a stranger made to take the machine, each read where it may take 1 GiB and 10 s: ``bombs.py EXPORT REPORT``."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from activa import ACTIVA, Sampler

MANIFEST, WEIGHTS, MODEL = "sampler.json", "weights.safetensors", "model.json"
GENES = "tables.zarr/genes/_index/values/zarr.json"
MAX_BYTES, MAX_SECONDS = 2**30, 10


def sign(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the manifest, with a checksum that fits."""
    content = json.loads((folder / MANIFEST).read_text())
    edit(content)
    content.pop("sha256", None)
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(content))


def put(folder: Path, name: str, data: bytes) -> None:
    """Replace a file, with checksums that fit."""
    (folder / name).write_bytes(data)
    about = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    sign(folder, lambda c: c["files"].update({name: about}))


def in_place(folder: Path, name: str, make: Callable[[Path], Any]) -> None:
    (folder / name).unlink()
    make(folder / name)


def sparse(folder: Path) -> None:
    os.truncate(folder / WEIGHTS, 2**33)
    sign(folder, lambda c: c["files"][WEIGHTS].update(bytes=2**33))


def claims(folder: Path, n: int) -> None:
    """A table of more values than any model has, of which no file holds any, beside a file that has as many bytes."""
    node = json.loads((folder / GENES).read_text())
    node["shape"] = [n]
    put(folder, GENES, json.dumps(node).encode())
    put(folder, "tables.zarr/genes/padding", b"0" * n)


BOMBS: dict[str, Callable[[Path], Any]] = {
    "lists": lambda f: (f / MANIFEST).write_bytes(b"[" + b"[]," * (20 * 2**20) + b"[]]"),
    "more lists": lambda f: (f / MANIFEST).write_bytes(b"[" + b"[]," * 10**8 + b"[]]"),
    "deep": lambda f: (f / MANIFEST).write_bytes(b'{"a":' * 400_000 + b"1" + b"}" * 400_000),
    "deep enough for Python": lambda f: (f / MANIFEST).write_bytes(b"[" * 900 + b"]" * 900),
    "one number": lambda f: (f / MANIFEST).write_bytes(b"9" * (60 * 2**20)),
    "names": lambda f: sign(f, lambda c: c.update({f"n{i}": [] for i in range(300_000)})),
    "types": lambda f: sign(f, lambda c: c.update(types=[[]] * 900_000)),
    "settings": lambda f: sign(f, lambda c: c["settings"].update({f"n{i}": 1 for i in range(300_000)})),
    "files": lambda f: sign(f, lambda c: c["files"].update({f"tables.zarr/{i}": {} for i in range(200_000)})),
    "a long word": lambda f: sign(f, lambda c: c.update(layer="x" * 2**25, surprise="x" * 2**24)),
    "sparse weights": sparse,
    "layers": lambda f: sign(f, lambda c: c["settings"].update(n_hidden=[1] * 30_000)),
    "more layers": lambda f: sign(f, lambda c: c["settings"].update(n_hidden=[1] * 200_000)),
    "fifo": lambda f: in_place(f, MANIFEST, os.mkfifo),
    "fifo of weights": lambda f: in_place(f, WEIGHTS, os.mkfifo),
    "kernel messages": lambda f: in_place(f, MANIFEST, lambda file: file.symlink_to("/proc/kmsg")),
    "zeros": lambda f: in_place(f, MANIFEST, lambda file: file.symlink_to("/dev/zero")),
    "a folder": lambda f: in_place(f, WEIGHTS, os.mkdir),
    "model of lists": lambda f: put(f, MODEL, b"[" + b"[]," * (15 * 2**20) + b"[]]"),
    "deep model": lambda f: put(f, MODEL, b'{"registry":' * 5_000 + b"1" + b"}" * 5_000),
    "class of a long name": lambda f: put(f, MODEL, json.dumps({"model_class": "x" * 2**25}).encode()),
    "a table of nothing": lambda f: claims(f, 2**27),
}


def main(export: Path, report: Path) -> None:
    """Read each, and write how it ended: error, message, seconds, and bytes of memory taken on top."""
    ended = {}
    ACTIVA.from_export(export)
    for name, make in BOMBS.items():
        folder = report.parent / "bomb"
        shutil.copytree(export, folder)
        make(folder)
        page = resource.getpagesize()
        size = int(Path("/proc/self/statm").read_text().split()[0]) * page
        resource.setrlimit(resource.RLIMIT_AS, (size + MAX_BYTES, resource.RLIM_INFINITY))
        for read in (Sampler.load, ACTIVA.from_export):
            start, error, message = time.perf_counter(), "none", ""
            try:
                read(folder)
            except BaseException as found:  # noqa: BLE001  what it is, the test judges
                error, message = type(found).__name__, str(found)
            ended[f"{name}: {read.__qualname__}"] = (error, message[:2_000], time.perf_counter() - start)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        shutil.rmtree(folder)
    report.write_text(json.dumps(ended))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
