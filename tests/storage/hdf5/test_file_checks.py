"""Files that libhdf5 must not open, files that it must, and the errors for users."""

import gzip
import os
import resource
import shutil
import socket

import h5py
import numpy as np
import pytest

from h5lightning.errors import BadFileError, ResourceError
from h5lightning.storage.hdf5.file_checks import check_file, has_signature, stamp

FORMATS = {
    "earliest": {"libver": "earliest"},
    "v108": {"libver": ("v108", "v108")},
    "latest": {"libver": "latest"},
    "user-block": {"userblock_size": 512},
    "user-block-latest": {"userblock_size": 4096, "libver": "latest"},
    "paged": {"fs_strategy": "page", "fs_page_size": 4096},
}


def write_hdf5(path, **options):
    with h5py.File(path, "w", **options) as file:
        file["x"] = np.arange(1000)
        file.create_dataset("chunked", data=np.arange(1000), chunks=(100,), compression="gzip")
    return str(path)


def cut(path, size):
    os.truncate(path, size)
    return path


def opens(path):
    try:
        with h5py.File(path, "r"):
            return True
    except OSError:
        return False


def is_accepted(path):
    try:
        check_file(path)
    except BadFileError:
        return False
    return True


@pytest.fixture(params=FORMATS.values(), ids=FORMATS)
def hdf5(request, tmp_path):
    return write_hdf5(tmp_path / "a.h5", **request.param)


# ── good files ───────────────────────────────────────────────────────────────────────────────────────


def test_good_files_pass(hdf5):
    check_file(hdf5)
    assert has_signature(hdf5)


def test_a_user_block_that_was_put_in_front_later_passes(hdf5, tmp_path):
    longer = tmp_path / "longer.h5"
    with open(hdf5, "rb") as file:
        content = file.read()
    front = max(512, content.index(b"\x89HDF"))  # 512 bytes, or as much again
    longer.write_bytes(b"front".ljust(front, b"\0") + content)
    assert opens(longer)
    check_file(str(longer))


def test_a_user_block_that_was_cut_off_passes(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", userblock_size=2048)
    bare = tmp_path / "bare.h5"
    with open(path, "rb") as file:
        bare.write_bytes(file.read()[2048:])
    assert opens(bare)
    check_file(str(bare))


def test_bytes_after_the_end_pass(hdf5):
    with open(hdf5, "ab") as file:
        file.write(b"more")
    assert opens(hdf5)
    check_file(hdf5)


def test_links_are_followed(hdf5, tmp_path):
    link = tmp_path / "link.h5"
    link.symlink_to(hdf5)
    check_file(str(link))


# ── truncated files ──────────────────────────────────────────────────────────────────────────────────


def test_a_file_short_of_one_byte_is_truncated(hdf5):
    size = os.path.getsize(hdf5)
    cut(hdf5, size - 1)
    with pytest.raises(BadFileError, match=rf"is truncated: {size - 1} bytes, its header says {size}\."):
        check_file(hdf5)
    assert has_signature(hdf5)


@pytest.mark.parametrize("libver", ["earliest", "latest"])
def test_what_is_rejected_as_truncated_is_what_libhdf5_rejects(tmp_path, libver):
    whole = write_hdf5(tmp_path / "whole.h5", libver=libver)
    part = str(tmp_path / "part.h5")
    for size in [*range(1, 100), 500, os.path.getsize(whole) - 1, os.path.getsize(whole)]:
        shutil.copy(whole, part)
        cut(part, size)
        assert is_accepted(part) == opens(part), size


def test_a_header_that_is_cut_is_truncated(hdf5):
    with open(hdf5, "rb") as file:
        start = file.read().index(b"\x89HDF")
    with pytest.raises(BadFileError, match="less than its header takes"):
        check_file(cut(hdf5, start + 20))


def test_a_newer_format_is_left_to_libhdf5(hdf5):
    with open(hdf5, "r+b") as file:
        file.seek(file.read().index(b"\x89HDF") + 8)
        file.write(b"\x63")
    check_file(hdf5)


def test_a_damaged_address_width_is_left_to_libhdf5(tmp_path):
    path = write_hdf5(tmp_path / "a.h5", libver="latest")
    with open(path, "r+b") as file:
        file.seek(9)
        file.write(b"\xff")
    check_file(path)
    assert not opens(path)


def test_a_file_whose_writer_was_killed(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["x"] = np.arange(1000)
        file.flush()
        shutil.copy(path, tmp_path / "left.h5")
    assert not opens(tmp_path / "left.h5")
    with pytest.raises(BadFileError, match=r"is open for writing, or its writer was killed.*h5clear"):
        check_file(str(tmp_path / "left.h5"))
    check_file(str(path))


# ── not HDF5 ─────────────────────────────────────────────────────────────────────────────────────────


def write_npz(path):
    np.savez(path, x=np.arange(3))


def write_npy(path):
    with open(path, "wb") as file:
        np.save(file, np.arange(3))


def write_gzip(path):
    with gzip.open(path, "wb") as file:
        file.write(b"\x89HDF\r\n\x1a\n")


def writer_of(content):
    def write(path):
        with open(path, "wb") as file:
            file.write(content)

    return write


FOREIGN = {
    "zip": (write_npz, r"b'PK\\x03\\x04.*a zip archive"),
    "npy": (write_npy, "a NumPy array.*numpy.load"),
    "gzip": (write_gzip, "gzip.*gunzip"),
    "netcdf3": (writer_of(b"CDF\x01" + bytes(600)), "netCDF-3.*nccopy"),
    "hdf4": (writer_of(b"\x0e\x03\x13\x01" + bytes(600)), "HDF4.*h4toh5"),
    "matlab5": (writer_of(b"MATLAB 5.0 MAT-file".ljust(600)), r"MATLAB 5 file.*-v7\.3"),
    "png": (writer_of(b"\x89PNG\r\n\x1a\n" + bytes(600)), "a PNG image"),
    "lfs": (writer_of(b"version https://git-lfs.github.com/spec/v1\noid"), "git lfs pull"),
    "html": (writer_of(b"<!DOCTYPE html><html>log in</html>"), "a web page"),
    "zeros": (writer_of(bytes(4096)), "zeros.*write it again"),
    "text": (writer_of("Zeile für Zeile\n".encode() * 100), r"\(text\)"),
    "text-cut-in-a-character": (writer_of("é".encode().rjust(129, b"a")), r"\(text\)"),
    "other": (writer_of(b"\xff\xfe\xfd\xfc"), "damaged or has another format"),
    "signature-at-a-wrong-offset": (writer_of(b"abcd\x89HDF\r\n\x1a\n"), "which no HDF5 file does"),
}


@pytest.mark.parametrize(("write", "message"), FOREIGN.values(), ids=FOREIGN)
def test_other_formats_are_named(tmp_path, write, message):
    path = str(tmp_path / "a.npz")  # numpy.savez adds this suffix to others
    write(path)
    with pytest.raises(BadFileError, match=f"is not HDF5: it starts with .*{message}"):
        check_file(path)
    assert not has_signature(path)


def test_an_empty_file(tmp_path):
    (tmp_path / "a.h5").touch()
    with pytest.raises(BadFileError, match=r"is empty \(0 bytes\)"):
        check_file(str(tmp_path / "a.h5"))
    assert not has_signature(str(tmp_path / "a.h5"))


# ── not a file ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.timeout(10)
def test_a_fifo_is_refused_at_once(tmp_path):
    path = str(tmp_path / "a.h5")
    os.mkfifo(path)
    with pytest.raises(BadFileError, match="is a FIFO, not a regular file"):
        check_file(path)
    assert not has_signature(path)


def test_a_socket(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the address of a socket has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("a.h5")
        with pytest.raises(BadFileError, match="is a socket, not a regular file"):
            check_file("a.h5")


def test_a_directory(tmp_path):
    with pytest.raises(BadFileError, match=r"is a directory, .*/\*\*/\*\.h5"):
        check_file(str(tmp_path))
    assert not has_signature(str(tmp_path))


def test_a_device():
    with pytest.raises(BadFileError, match="is a character device"):
        check_file(os.devnull)


@pytest.mark.parametrize("check", [check_file, has_signature])
def test_a_name_with_nul_never_stands_for_its_beginning(hdf5, check):
    with pytest.raises(BadFileError, match="holds a NUL"):
        check(f"{hdf5}\0.txt")


@pytest.mark.parametrize("check", [check_file, has_signature])
def test_a_file_that_is_gone(tmp_path, check):
    with pytest.raises(BadFileError, match=r"gone\.h5' does not exist"):
        check(str(tmp_path / "gone.h5"))


def test_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "a.h5").symlink_to("lost.h5")
    with pytest.raises(BadFileError, match=r"is a link to 'lost\.h5', which does not exist"):
        check_file(str(tmp_path / "a.h5"))


def test_a_link_in_circles(tmp_path):
    (tmp_path / "a.h5").symlink_to("a.h5")
    with pytest.raises(BadFileError, match="cannot be opened: "):
        check_file(str(tmp_path / "a.h5"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(hdf5):
    os.chmod(hdf5, 0)
    with pytest.raises(BadFileError, match="may not be read by this user"):
        check_file(hdf5)


def test_a_process_without_descriptors_does_not_blame_the_file(hdf5):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
    try:
        with pytest.raises(ResourceError, match="Too many open files") as caught:
            check_file(hdf5)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not isinstance(caught.value, BadFileError)


def test_messages_name_the_file_and_a_way_to_go_on_without_it(tmp_path):
    path = str(tmp_path / "a.h5")
    cut_path = cut(write_hdf5(path), 100)
    with pytest.raises(BadFileError) as caught:
        check_file(cut_path)
    assert str(caught.value).startswith(f"{path!r} is truncated")
    assert str(caught.value).endswith(f"add '!{path}' to files or set access.on_bad_file=skip")


def test_no_descriptor_is_left_open(hdf5, tmp_path):
    (tmp_path / "empty.h5").touch()
    before = os.dup(0)
    os.close(before)
    for path in (hdf5, str(tmp_path / "empty.h5"), str(tmp_path)):
        is_accepted(path)
        has_signature(path)
    after = os.dup(0)
    os.close(after)
    assert after == before


# ── stamps ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_stamp_moves_when_the_content_changes_and_mtime_is_restored(hdf5):
    before = os.stat(hdf5)
    with open(hdf5, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"z")
    os.utime(hdf5, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = os.stat(hdf5)
    assert stamp(before)[:2] == stamp(after)[:2]
    assert stamp(before) != stamp(after)


def test_inodes_beyond_int64_wrap_around():
    times = {"st_mtime_ns": -5, "st_ctime_ns": 6}
    status = os.stat_result((0, 2**64 - 3, 0, 0, 0, 0, 7, 0, 0, 0), times)
    assert np.asarray(stamp(status), dtype=np.int64).tolist() == [7, -5, 6, -3]
