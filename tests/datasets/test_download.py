import gc
import hashlib
import shutil
import socket
from pathlib import Path

import pytest

from activa import optional
from activa.datasets import _download
from activa.datasets._download import fetch, reading

NAME = "68k_pbmc_barcodes_annotation.tsv"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_downloaded_once_and_its_checksum_recorded(server, cache: Path) -> None:
    path = fetch(NAME)
    assert path == cache / NAME
    assert path.read_bytes() == (server.folder / NAME).read_bytes()
    assert (cache / f"{NAME}.sha256").read_text() == f"{sha256(path)}  {NAME}\n"
    assert fetch(NAME) == path
    assert server.asked == [NAME]
    assert server.headers == {("activa", "identity")}
    assert {file.name for file in cache.iterdir()} == {NAME, f"{NAME}.sha256"}


def test_a_file_is_kept_as_it_is_served(server, cache: Path) -> None:
    name = "GSE163005_matrix.mtx.gz"
    assert sha256(fetch(name)) == sha256(server.folder / name)


def test_the_argument_goes_before_the_environment(server, cache: Path, tmp_path: Path) -> None:
    assert fetch(NAME, tmp_path / "other") == tmp_path / "other" / NAME
    assert not cache.exists()


def test_the_default_folder_is_the_users_cache(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pooch = pytest.importorskip("pooch")
    monkeypatch.delenv("ACTIVA_DATA_DIR", raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / "home" / project)
    assert fetch(NAME) == tmp_path / "home" / "activa" / NAME


def test_a_changed_file_is_caught(server, cache: Path) -> None:
    path = fetch(NAME)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(RuntimeError, match=f"{NAME} has changed.*Delete both") as caught:
        fetch(NAME)
    assert f"{path}.sha256" in str(caught.value)
    path.unlink()
    Path(f"{path}.sha256").unlink()
    assert fetch(NAME).read_bytes() != content


def test_another_file_at_the_address_is_caught(server, cache: Path) -> None:
    fetch(NAME).unlink()
    (server.folder / NAME).write_text("a new edition")
    with pytest.raises(RuntimeError, match="has changed"):
        fetch(NAME)


def test_a_record_that_was_not_written_out_is_caught(server, cache: Path) -> None:
    path = fetch(NAME)
    Path(f"{path}.sha256").write_text("")
    with pytest.raises(RuntimeError, match="has changed"):
        fetch(NAME)


def test_a_missing_file_leaves_nothing(server, cache: Path) -> None:
    (server.folder / NAME).unlink()
    with pytest.raises(ConnectionError, match="404") as caught:
        fetch(NAME)
    assert _download._FILES[NAME] in str(caught.value)
    assert list(cache.iterdir()) == []


# pooch does not close the connection that broke off, which Python notes when it clears the error away
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_half_a_download_is_not_taken_for_the_whole(server, cache: Path) -> None:
    server.breaks_off = True
    with pytest.raises(ConnectionError, match="could not be downloaded") as caught:
        fetch(NAME)
    assert _download._FILES[NAME] in str(caught.value)
    assert list(cache.iterdir()) == []
    del caught
    gc.collect()
    server.breaks_off = False
    assert sha256(fetch(NAME)) == sha256(server.folder / NAME)


def test_offline_the_error_says_where_to_put_the_file(server, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/{NAME}"
    monkeypatch.setitem(_download._FILES, NAME, url)
    with pytest.raises(ConnectionError) as caught:
        fetch(NAME)
    assert url in str(caught.value)
    assert f"put it at {cache / NAME}" in str(caught.value)
    # as the error says
    shutil.copy(server.folder / NAME, cache / NAME)
    assert fetch(NAME) == cache / NAME
    assert (cache / f"{NAME}.sha256").read_text().startswith(sha256(cache / NAME))


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
    with pytest.raises(RuntimeError, match=r"cannot be read.*one\.gz.*one\.gz\.sha256.*two\.gz"):
        with reading(tmp_path / "one.gz", tmp_path / "two.gz"):
            raise EOFError("ends early")


@pytest.mark.parametrize("url", _download._FILES.values())
def test_the_addresses_are_secure_and_end_in_the_file(url: str) -> None:
    assert url.startswith("https://")
    assert _download._FILES[url.rpartition("/")[2]] == url
