"""A local server with small generated files in the true formats replaces the internet."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.io import mmwrite

from activa.datasets import fetching

TAR = "fresh_68k_pbmc_donor_a_filtered_gene_bc_matrices.tar.gz"
N_CELLS, N_GENES = 243, 152


class Made:
    """Counts of three types (120, 80 and 40 cells), one cell per type with too few genes, and two genes too rare."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        types = np.repeat(["A", "B", "C"], [120, 80, 40])
        mean = np.full((240, 150), 1.0)
        for i, name in enumerate("ABC"):
            mean[types == name, 20 * i : 20 * i + 20] = 10
        counts = np.zeros((N_CELLS, N_GENES), dtype=int)
        counts[:240, :150] = rng.poisson(mean)
        counts[240:, :5] = 1
        counts[:2, 150] = 7
        order = rng.permutation(N_CELLS)
        self.counts = counts[order]
        self.types = np.concatenate([types, ["A", "B", "C"]])[order]
        self.cells = np.array([f"CELL{i:03}-1" for i in range(N_CELLS)])
        self.symbols = np.array([f"G{i}" for i in range(N_GENES)])
        self.symbols[1] = "G0"  # symbols repeat in the true files
        self.gene_ids = np.array([f"ENS{i:05}" for i in range(N_GENES)])

    def mtx(self, values: np.ndarray | None = None) -> bytes:
        file = io.BytesIO()
        mmwrite(file, sparse.coo_matrix((self.counts if values is None else values).T))
        return file.getvalue()

    def lines(self, *columns: np.ndarray | list[str]) -> bytes:
        return "".join("\t".join(row) + "\n" for row in zip(*columns, strict=True)).encode()

    def csv(self, values: np.ndarray, order: np.ndarray) -> bytes:
        """The output of R's write.csv."""
        frame = pd.DataFrame({"x": values}, index=pd.Index(self.cells, name=""))
        return gzip.compress(frame.iloc[order].to_csv(quoting=2).encode())

    def write(self, folder: Path) -> None:
        members = {
            "matrix.mtx": self.mtx(),
            "genes.tsv": self.lines(self.gene_ids, self.symbols),
            "barcodes.tsv": self.lines(self.cells),
        }
        with tarfile.open(folder / TAR, "w:gz") as archive:
            for name, content in members.items():
                member = tarfile.TarInfo(f"filtered_matrices_mex/hg19/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

        # the order differs from that of the counts, so that a join by position fails
        order = np.random.default_rng(1).permutation(N_CELLS)
        zeros = ["0.0"] * N_CELLS
        rows = self.lines(zeros, zeros, self.cells[order], self.types[order])
        (folder / "68k_pbmc_barcodes_annotation.tsv").write_bytes(b"TSNE.1\tTSNE.2\tbarcodes\tcelltype\n" + rows)

        by_cell = sparse.csr_matrix(self.counts)
        with h5py.File(folder / "1M_neurons_neuron20k.h5", "w") as file:
            group = file.create_group("mm10")
            group["shape"] = np.array([N_GENES, N_CELLS], dtype=np.int64)
            group["data"], group["indices"] = by_cell.data.astype(np.int64), by_cell.indices.astype(np.int64)
            group["indptr"] = by_cell.indptr.astype(np.int64)
            group["barcodes"], group["genes"] = self.cells.astype("S"), self.gene_ids.astype("S")
            group["gene_names"] = self.symbols.astype("S")

        annotated = order[order >= 10]  # the first ten cells have no type
        kind = ["Gene Expression"] * N_GENES
        for name, content in {
            "matrix.mtx": gzip.compress(self.mtx()),
            "features.tsv": gzip.compress(self.lines(self.gene_ids, self.symbols, kind)),
            "barcodes.tsv": gzip.compress(self.lines(self.cells)),
            "annotation_cluster.csv": self.csv(self.types, annotated),
            "annotation_dx.csv": self.csv(np.where(np.arange(N_CELLS) % 2, "MS", "COVID"), annotated),
            "annotation_patients.csv": self.csv(np.arange(N_CELLS) % 5, annotated[::-1]),
        }.items():
            (folder / f"GSE163005_{name}.gz").write_bytes(content)


class Server:
    """The served files, the requests, and whether answers break off half-way."""

    def __init__(self, folder: Path, made: Made) -> None:
        self.folder, self.made = folder, made
        self.asked: list[str] = []
        self.headers: set[tuple[str, str]] = set()
        self.breaks_off = False


class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *args, state: Server, **kwargs) -> None:
        self.state = state
        super().__init__(*args, directory=str(state.folder), **kwargs)

    def do_GET(self) -> None:
        self.state.asked.append(self.path.removeprefix("/"))
        self.state.headers.add((self.headers["User-Agent"], self.headers["Accept-Encoding"]))
        if not self.state.breaks_off:
            return super().do_GET()
        content = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])

    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="session")
def made() -> Made:
    return Made()


@pytest.fixture
def server(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server(tmp_path / "served", made)
    state.folder.mkdir()
    made.write(state.folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, state=state)) as httpd:
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.setenv(name, "127.0.0.1")
        address = f"http://127.0.0.1:{httpd.server_port}"
        checksums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in state.folder.iterdir()}
        files = {name: (address, checksum and checksums[name]) for name, (_, checksum) in fetching.FILES.items()}
        monkeypatch.setattr(fetching, "FILES", files)
        yield state
        httpd.shutdown()
        thread.join()


@pytest.fixture
def unchecked(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file has a known checksum."""
    monkeypatch.setattr(fetching, "FILES", {name: (address, None) for name, (address, _) in fetching.FILES.items()})


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder, set in the environment."""
    monkeypatch.setenv("ACTIVA_DATA_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"
