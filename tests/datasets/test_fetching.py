import gc
import hashlib
import re
import shutil
import socket
from pathlib import Path

import pytest

from activa import optional
from activa.datasets import fetching
from activa.datasets.fetching import fetch, reading

NAME = "68k_pbmc_barcodes_annotation.tsv"
UNCHECKED = "GSE163005_matrix.mtx.gz"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def url(name: str) -> str:
    return f"{fetching.FILES[name][0]}/{name}"


@pytest.mark.parametrize("name", [NAME, UNCHECKED])
def test_a_file_is_downloaded_once(name: str, server, cache: Path) -> None:
    path = fetch(name)
    assert path == cache / name
    assert path.read_bytes() == (server.folder / name).read_bytes()
    assert fetch(name) == path
    assert server.asked == [name]
    assert server.headers == {("activa", "identity")}
    assert [file.name for file in cache.iterdir()] == [name]


def test_the_argument_has_priority_over_the_environment(server, cache: Path, tmp_path: Path) -> None:
    assert fetch(NAME, tmp_path / "other") == tmp_path / "other" / NAME
    assert not cache.exists()


def test_the_default_folder_is_the_users_cache(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pooch = pytest.importorskip("pooch")
    monkeypatch.delenv("ACTIVA_DATA_DIR", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "home" / project)
    assert fetch(NAME) == tmp_path / "home" / "activa" / NAME


def test_a_changed_file_is_downloaded_again(server, cache: Path) -> None:
    path = fetch(NAME)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    assert sha256(fetch(NAME)) == sha256(server.folder / NAME)
    assert server.asked == [NAME, NAME]


def test_a_changed_file_is_not_used_without_a_connection(server, cache: Path) -> None:
    fetch(NAME).write_text("changed")
    (server.folder / NAME).unlink()
    with pytest.raises(ConnectionError, match="does not match its checksum"):
        fetch(NAME)


def test_a_replaced_file_at_the_address_is_an_error(server, cache: Path) -> None:
    (server.folder / NAME).write_text("a new edition")
    with pytest.raises(RuntimeError, match="does not match its checksum") as caught:
        fetch(NAME)
    assert url(NAME) in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_missing_file_leaves_nothing(server, cache: Path) -> None:
    (server.folder / NAME).unlink()
    with pytest.raises(ConnectionError, match="404") as caught:
        fetch(NAME)
    assert url(NAME) in str(caught.value)
    assert list(cache.iterdir()) == []


# pooch does not close the connection that broke off, which Python notes when it clears the error away
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_half_a_download_is_not_taken_for_the_whole(server, cache: Path) -> None:
    server.breaks_off = True
    with pytest.raises(ConnectionError, match="could not be downloaded") as caught:
        fetch(NAME)
    assert url(NAME) in str(caught.value)
    assert list(cache.iterdir()) == []
    del caught
    gc.collect()
    server.breaks_off = False
    assert sha256(fetch(NAME)) == sha256(server.folder / NAME)


def test_offline_the_error_says_where_to_put_the_file(server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setitem(fetching.FILES, NAME, (address, fetching.FILES[NAME][1]))
    with pytest.raises(ConnectionError) as caught:
        fetch(NAME)
    assert f"{address}/{NAME}" in str(caught.value)
    assert f"put it at {cache / NAME}" in str(caught.value)
    # the error's advice works
    shutil.copy(server.folder / NAME, cache / NAME)
    assert fetch(NAME) == cache / NAME


def test_a_folder_that_cannot_be_made_is_not_a_connection_error(server, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file") as caught:
        fetch(NAME, tmp_path / "file")
    assert not isinstance(caught.value, ConnectionError)


def test_without_pooch_the_error_says_what_to_install(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optional, "is_installed", lambda module: False)
    with pytest.raises(ImportError, match=r"pooch.*activa-sc\[data\]"):
        fetch(NAME)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"cannot be read.*one\.gz.*two\.gz"):
        with reading(tmp_path / "one.gz", tmp_path / "two.gz"):
            raise EOFError("ends early")


@pytest.mark.parametrize("name", fetching.FILES)
def test_addresses_are_secure_and_checksums_well_formed(name: str) -> None:
    folder, checksum = fetching.FILES[name]
    assert folder.startswith("https://")
    assert (checksum is None) == name.startswith("GSE163005")
    assert checksum is None or re.fullmatch(r"[0-9a-f]{64}|md5:[0-9a-f]{32}", checksum)
