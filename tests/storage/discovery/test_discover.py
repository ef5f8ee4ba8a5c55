"""Which files patterns stand for: on real trees, with links, odd names and mistakes."""

import errno
import glob as reference
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from h5lightning.errors import BadFileError, DiscoveryError, NoMatchError, OptionError, ResourceError
from h5lightning.storage.discovery import discover
from h5lightning.storage.discovery.exclusion import Exclusion
from h5lightning.storage.discovery.patterns import escape, expand_braces
from h5lightning.storage.hdf5.file_checks import check_file, leave_out_hint

TREE = ("a.h5", "b.h5", "c.hdf5", "d1.h5", "d2.h5", "sub/a.h5", "sub/deep/e.h5", "other/f.h5", ".hidden.h5")
TREE = (*TREE, ".cache/g.h5", "notes.txt")


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A directory of files, which is the current one."""
    plant(tmp_path, *TREE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plant(directory, *names):
    """Files that are never read: an HDF5 name is enough."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def write_hdf5(path):
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)


# ── patterns ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ("a.h5", ["a.h5"]),
        ("*.h5", ["a.h5", "b.h5", "d1.h5", "d2.h5"]),
        ("./*.h5", ["a.h5", "b.h5", "d1.h5", "d2.h5"]),
        ("sub/../?.h5", ["a.h5", "b.h5"]),
        ("d[0-9].h5", ["d1.h5", "d2.h5"]),
        ("d[!1].h5", ["d2.h5"]),
        ("**/*.h5", ["a.h5", "b.h5", "d1.h5", "d2.h5", "other/f.h5", "sub/a.h5", "sub/deep/e.h5"]),
        ("**/a.h5", ["a.h5", "sub/a.h5"]),
        ("**/**/e.h5", ["sub/deep/e.h5"]),
        ("sub/**", ["a.h5", "deep/e.h5"]),
        ("s*/**/e.h5", ["sub/deep/e.h5"]),
        ("*/*/*.h5", ["sub/deep/e.h5"]),
        ("*/a.h5", ["sub/a.h5"]),
        ("*.{h5,hdf5}", ["a.h5", "b.h5", "c.hdf5", "d1.h5", "d2.h5"]),
        ("{sub/{a,none},other/f}.h5", ["other/f.h5", "sub/a.h5"]),
        (".h*.h5", [".hidden.h5"]),
        (".cache/*.h5", ["g.h5"]),
        (["b.h5", "a.h5", "a.h5"], ["a.h5", "b.h5"]),
        (("*.h5", "!d*"), ["a.h5", "b.h5"]),
        (Path("sub") / "*.h5", ["a.h5"]),
        ([Path("a.h5"), "b.h5"], ["a.h5", "b.h5"]),
    ],
    ids=str,
)
def test_what_patterns_match(tree, files, expected):
    assert list(discover(files).names) == expected


def test_variables_and_home(tree, monkeypatch):
    monkeypatch.setenv("DATA", str(tree))
    monkeypatch.setenv("KIND", "h5")
    monkeypatch.setenv("HOME", str(tree / "sub"))
    assert discover("$DATA/a.${KIND}").names == ("a.h5",)
    assert discover("~/*.h5").path(0) == str(tree / "sub" / "a.h5")


@pytest.mark.parametrize("text", ["$NOWHERE/*.h5", "${NOWHERE}/*.h5"])
def test_an_undefined_variable_is_named(tree, text):
    with pytest.raises(DiscoveryError, match="the environment variable 'NOWHERE' is not set"):
        discover(text)


def test_relative_patterns_follow_the_current_directory(tree, monkeypatch):
    before = discover("a.h5")
    monkeypatch.chdir(tree / "sub")
    after = discover("a.h5")
    assert (before.root, after.root) == (str(tree), str(tree / "sub"))
    assert discover("a.h5", directory=str(tree)).root == str(tree)


@pytest.mark.parametrize("name", ["run[1].h5", "{x,y}.h5", "what?.h5", "cost$5.h5", "*.h5"])
def test_the_name_of_a_file_is_taken_literally(tmp_path, name):
    plant(tmp_path, name, "run1.h5", "x.h5")
    assert discover(tmp_path / name).names == (name,)


def test_a_current_directory_with_wildcards_in_its_name(tmp_path, monkeypatch):
    plant(tmp_path, "[ab]{c,d}/x.h5", "a/x.h5")
    monkeypatch.chdir(tmp_path / "[ab]{c,d}")
    assert discover("*.h5").path(0) == str(tmp_path / "[ab]{c,d}" / "x.h5")


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ("s3://bucket/", DiscoveryError, "is a URL"),
        ("s3://bucket/*.h5", DiscoveryError, r"is a URL \(s3://\)"),
        (Path("s3://bucket/*.h5"), DiscoveryError, r"is a URL \(s3://\)"),
        (["a.h5", "gs://bucket/a.h5"], DiscoveryError, r"is a URL \(gs://\)"),
        ("https://x.org/a.h5", DiscoveryError, r"is a URL \(https://\)"),
        ("hf://datasets/a.h5", DiscoveryError, r"is a URL \(hf://\)"),
        ("simplecache::s3://b/a.h5", DiscoveryError, "is a URL"),
        (["a.h5", "!s3://b/a.h5"], DiscoveryError, "is a URL"),
        ("", DiscoveryError, "an empty pattern"),
        ("a\0.h5", DiscoveryError, "holds a NUL"),
        ("*/../*.h5", DiscoveryError, r"'\.\.' after a wildcard"),
        ("{a,b}" * 14, DiscoveryError, "more than 10000 alternatives"),
        ("sub", DiscoveryError, r"is a directory; .*sub/\*\*/\*\.h5"),
        ("sub/", DiscoveryError, r"names directories: .*sub/\*\*/\*\.h5"),
        (3, OptionError, "files must be a path"),
        (b"a.h5", OptionError, "files must be a path"),
        ([3], OptionError, "files must hold paths and patterns, found 3"),
        ([], OptionError, "files names no file"),
        ("!a.h5", OptionError, r"it only leaves out !a\.h5"),
        ({}, OptionError, "names no split"),
        ({"train": "a.h5", "vall": "b.h5"}, OptionError, "no split 'vall'; did you mean 'val'"),
        ({"train": {"x": "a.h5"}}, OptionError, r"files\.train must be a path"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused(tree, files, error, message):
    with pytest.raises(error, match=message):
        discover(files)


# ── leaving out ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("excluded", "expected"),
    [
        ("!a.h5", ["b.h5", "d1.h5", "d2.h5", "other/f.h5", "sub/deep/e.h5"]),
        ("!./a.h5", ["b.h5", "d1.h5", "d2.h5", "other/f.h5", "sub/a.h5", "sub/deep/e.h5"]),
        ("!d[0-9].h5", ["a.h5", "b.h5", "other/f.h5", "sub/a.h5", "sub/deep/e.h5"]),
        ("!{a,b,d?}.h5", ["other/f.h5", "sub/deep/e.h5"]),
        ("!sub/*.h5", ["a.h5", "b.h5", "d1.h5", "d2.h5", "other/f.h5", "sub/deep/e.h5"]),
        ("!sub/**", ["a.h5", "b.h5", "d1.h5", "d2.h5", "other/f.h5"]),
        ("!s*", ["a.h5", "b.h5", "d1.h5", "d2.h5", "other/f.h5"]),
        ("!sub/", ["a.h5", "b.h5", "d1.h5", "d2.h5", "other/f.h5"]),
        ("!**/deep/**", ["a.h5", "b.h5", "d1.h5", "d2.h5", "other/f.h5", "sub/a.h5"]),
        ("!none*", ["a.h5", "b.h5", "d1.h5", "d2.h5", "other/f.h5", "sub/a.h5", "sub/deep/e.h5"]),
    ],
    ids=str,
)
def test_what_exclamation_marks_leave_out(tree, excluded, expected):
    assert list(discover(["**/*.h5", excluded]).names) == expected
    assert list(discover([excluded, "**/*.h5"]).names) == expected


def test_a_bare_name_is_left_out_wherever_the_data_lie(tree, monkeypatch):
    monkeypatch.chdir("/")
    assert discover([f"{tree}/*.h5", "!d*.h5"]).names == ("a.h5", "b.h5")


def test_dots_leave_out_directories_and_not_names(tree, monkeypatch):
    plant(tree, "sub/deep/sub/h.h5")
    monkeypatch.chdir(tree / "sub")
    assert discover([f"{tree}/*/**/*.h5", "!."]).names == ("other/f.h5",)
    with pytest.raises(NoMatchError, match="are left out by"):
        discover([f"{tree}/*/**/*.h5", "!.."])


def test_a_bare_name_is_left_out_in_hidden_directories_too(tree):
    assert discover(["*.h5", ".cache/*.h5", "!g.h5", "!a.*"]).names == ("b.h5", "d1.h5", "d2.h5")


def test_thousands_of_excluded_files_are_looked_up(tree):
    bad = [f"!bad_{number}.h5" for number in range(5000)] + [
        f"!{tree}/bad/{number}.h5" for number in range(5000)
    ]
    plant(tree, *(f"many/{number}.h5" for number in range(1000)))
    start = time.process_time()
    assert len(discover(["many/*.h5", "!7.h5", "!many/8.h5", *bad])) == 998
    assert time.process_time() - start < 5  # comparing each with each takes over a minute


def test_excludes_concern_their_own_split(tree):
    found = discover({"train": ["?.h5", "!a.h5"], "test": "a.h5"})
    assert [found.names[file] for file in found.roles["test"]] == ["a.h5"]
    assert [found.names[file] for file in found.roles["train"]] == ["b.h5"]


def test_a_pattern_may_lose_all_to_an_exclude_if_another_does_not(tree):
    assert discover(["d*.h5", "a.h5", "!d*"]).names == ("a.h5",)
    with pytest.raises(NoMatchError, match=r"all files that \['d\*\.h5'\] match are left out by \['!d\*'\]"):
        discover(["d*.h5", "!d*"])


# ── identity: names, root, order ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("files", "root"),
    [
        ("sub/a.h5", "sub"),
        ("sub/*.h5", "sub"),
        ("s?b/deep/*.h5", ""),
        ("**/e.h5", ""),
        ("sub/{a,deep/e}.h5", "sub"),
        (["sub/deep/*.h5", "other/*.h5"], ""),
        (["sub/deep/*.h5", "sub/*.h5"], "sub"),
        (["sub/deep/*.h5", "!*.h4"], "sub/deep"),
        ({"train": "sub/deep/*.h5", "test": "sub/a.h5"}, "sub"),
    ],
    ids=str,
)
def test_the_root_comes_from_the_patterns(tree, files, root):
    assert discover(files).root == str(tree / root)


def test_names_survive_a_copy_of_the_tree(tree, tmp_path_factory):
    copy = tmp_path_factory.mktemp("scratch") / "data"
    shutil.copytree(tree, copy)
    (copy / "b.h5").unlink()
    found, copied = discover(f"{tree}/**/*.h5"), discover(f"{copy}/**/*.h5")
    assert set(copied.names) == set(found.names) - {"b.h5"}


def test_links_in_the_root_are_kept(tree):
    (tree / "link").symlink_to("sub")
    found = discover(str(tree / "link" / "*.h5"))
    assert found.root == str(tree / "link")
    assert found.names == ("a.h5",)


def test_order_is_that_of_the_names_and_not_of_the_patterns(tree):
    expected = discover("**/*.h5").names
    assert list(expected) == sorted(expected)
    parts = ["sub/**/*.h5", "other/*.h5", "?.h5", "d*.h5", "./b.h5"]
    for seed in range(10):
        random.Random(seed).shuffle(parts)
        assert discover(parts).names == expected


def test_a_file_with_several_names_counts_once_under_the_smallest(tree):
    (tree / "aa.h5").symlink_to("b.h5")
    os.link(tree / "b.h5", tree / "zz.h5")
    (tree / "linked").symlink_to("sub")
    found = discover(["*.h5", "sub/../b.h5", str(tree / "b.h5"), "linked/*.h5", "sub/*.h5"])
    assert found.names == ("a.h5", "aa.h5", "d1.h5", "d2.h5", "linked/a.h5")


def test_directories_that_link_back_are_entered_once(tree):
    (tree / "sub" / "up").symlink_to("..")
    (tree / "sub" / "self").symlink_to("self")
    assert discover("**/e.h5").names == ("sub/deep/e.h5",)


def test_stamps_are_those_of_the_files(tree):
    found = discover("**/*.h5")
    for file, facts in enumerate(found.stamps.tolist()):
        status = os.stat(found.path(file))
        assert facts == [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


@pytest.mark.skipif(sys.platform == "darwin", reason="names of files must be Unicode there")
def test_names_that_are_no_text_survive(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.h5", "wb"):
        pass
    found = discover(f"{tmp_path}/*.h5")
    assert os.fsencode(found.names[0]) == b"\xff.h5"
    with pytest.raises(BadFileError) as caught:
        check_file(found.path(0))
    assert str(caught.value).encode()  # the message can be printed and logged


# ── splits ───────────────────────────────────────────────────────────────────────────────────────────


def test_roles_are_positions_in_the_names(tree):
    found = discover({"test": "sub/**/*.h5", "val": None, "train": ["d?.h5", "a.h5"], "predict": "b.h5"})
    roles = {role: [found.names[file] for file in files] for role, files in found.roles.items()}
    assert roles == {
        "train": ["a.h5", "d1.h5", "d2.h5"],
        "test": ["sub/a.h5", "sub/deep/e.h5"],
        "predict": ["b.h5"],
    }
    assert all(files.dtype == np.int64 for files in found.roles.values())


def test_without_a_mapping_there_are_no_roles(tree):
    assert discover("*.h5").roles is None


def test_a_file_in_two_splits_is_an_error_that_names_both(tree):
    with pytest.raises(DiscoveryError, match=r"b\.h5' is in two splits: train .* and val \('b\.h5'\)"):
        discover({"train": "*.h5", "val": "b.h5"})


def test_a_file_in_two_splits_by_a_link(tree):
    (tree / "val").mkdir()
    (tree / "val" / "v.h5").symlink_to("../a.h5")
    with pytest.raises(
        DiscoveryError, match=r"a\.h5', which is the same file as '.*v\.h5', is in two splits"
    ):
        discover({"train": "a.h5", "val": "val/*.h5"})


def test_the_advice_for_two_splits_helps(tree):
    with pytest.raises(DiscoveryError) as caught:
        discover({"train": "*.h5", "val": "d1.h5"})
    advice = re.search(r"add '(.*)' to files\.train, or '.*' to files\.val$", str(caught.value))
    assert discover({"train": ["*.h5", advice[1]], "val": "d1.h5"}).roles["val"].tolist() == [2]


# ── what is no HDF5 file ─────────────────────────────────────────────────────────────────────────────


def test_other_names_are_looked_at(tree):
    write_hdf5(tree / "without_suffix")
    plant(tree, "README", "done.ok")
    (tree / "empty").touch()
    os.mkfifo(tree / "pipe")
    found = discover("[!a-d]*")
    assert found.names == ("without_suffix",)
    assert [(file.name, file.reason) for file in found.skipped] == [
        ("README", "is not HDF5"),
        ("empty", "is not HDF5"),
        ("notes.txt", "is not HDF5"),
        ("pipe", "is not a regular file"),
    ]


def test_a_name_without_wildcards_is_taken_whatever_it_holds(tree):
    assert discover("notes.txt").names == ("notes.txt",)
    assert discover(["*.txt", "notes.txt"]).names == ("notes.txt",)


@pytest.mark.timeout(10)
def test_what_bears_an_hdf5_name_stays_in_for_the_scan_to_report(tree, monkeypatch):
    (tree / "odd").mkdir()
    monkeypatch.chdir(tree / "odd")
    os.mkdir("directory.h5")
    os.mkfifo("fifo.h5")
    os.symlink("lost.h5", "lost.H5")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.hdf5")
        found = discover("*")
        assert found.names == ("directory.h5", "fifo.h5", "lost.H5", "socket.hdf5")
        assert found.stamps[2].tolist() == [0, 0, 0, 0]
        for name in found.names:
            with pytest.raises(BadFileError):
                check_file(name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(tree):
    (tree / "sub" / "locked").mkdir(mode=0)
    write_hdf5(tree / "sub" / "secret")
    (tree / "sub" / "secret").chmod(0)
    found = discover("sub/**")
    assert found.names == ("a.h5", "deep/e.h5", "secret")
    assert [file.name for file in found.unlisted] == ["locked"]
    (tree / "sub" / "locked").chmod(0o700)


# ── directories that cannot be searched ───────────────────────────────────────────────────────────


def fail(monkeypatch, call, name, number):
    """From now on, a call of the system fails for all paths of this name."""
    real = getattr(os, call)

    def call_or_fail(path=".", *args, **options):
        if isinstance(path, (str, os.PathLike)) and os.path.basename(os.fspath(path)) == name:
            raise OSError(number, os.strerror(number), path)
        return real(path, *args, **options)

    monkeypatch.setattr(os, call, call_or_fail)


ERRORS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENXIO)
GLOBS = ("*/*.h5", "**/*.h5", "{sub,other}/*.h5", "sub/**", "s*/*.h5", "./sub/*.h5")


def unlisted(files):
    return [(file.name, file.reason) for file in discover(files).unlisted]


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("pattern", GLOBS)
def test_a_directory_that_cannot_be_listed_is_reported(tree, monkeypatch, number, pattern):
    fail(monkeypatch, "scandir", "sub", number)
    ((name, reason),) = unlisted([pattern, "a.h5"])
    assert name == "sub"
    assert reason.startswith(
        f"the directory '{tree}/sub' cannot be listed: {os.strerror(number)}. Files that may"
    )
    assert reason.endswith(leave_out_hint(f"{tree}/sub"))


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_a_directory_that_cannot_be_looked_at_is_reported(tree, monkeypatch, number):
    fail(monkeypatch, "stat", "sub", number)
    assert "cannot be looked at" in unlisted(["**/*.h5"])[0][1]


@pytest.mark.parametrize("pattern", ["*/a.h5", "**/a.h5"])
def test_a_link_in_circles_is_reported(tree, pattern):
    (tree / "loop").symlink_to("loop")
    ((name, reason),) = unlisted(pattern)
    assert name == "loop"
    assert "cannot be looked at: Too many levels of symbolic links" in reason


def test_a_link_that_leads_nowhere_is_no_directory(tree):
    (tree / "gone").symlink_to("lost")
    assert unlisted(["*/a.h5", "**/e.h5"]) == []


def test_a_directory_that_vanishes_meanwhile_is_empty(tree, monkeypatch):
    fail(monkeypatch, "scandir", "sub", errno.ENOENT)
    assert discover("*/*.h5").names == ("f.h5",) or discover("*/*.h5").names == ("other/f.h5",)
    assert unlisted("*/*.h5") == []


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM], ids=errno.errorcode.get)
def test_too_little_of_anything_is_no_fault_of_a_directory(tree, monkeypatch, number):
    fail(monkeypatch, "scandir", "sub", number)
    with pytest.raises(ResourceError, match="sub cannot be opened"):
        discover("*/*.h5")


@pytest.mark.parametrize("left_out", ["!sub", "!sub/*", "!sub/**", "!./s*", "!**/sub", "!{sub,x}"])
def test_what_is_left_out_need_not_be_listed(tree, monkeypatch, left_out):
    fail(monkeypatch, "scandir", "sub", errno.EACCES)
    assert unlisted(["**/*.h5", left_out]) == []


@pytest.mark.parametrize("left_out", ["!sub/a.h5", "!sub/*.h5", "!other", "!sub/deep/**"])
def test_what_is_left_out_in_part_must(tree, monkeypatch, left_out):
    fail(monkeypatch, "scandir", "sub", errno.EACCES)
    assert [name for name, _ in unlisted(["**/*.h5", left_out])] == ["sub"]


def test_what_one_split_leaves_out_the_other_may_take(tree, monkeypatch):
    fail(monkeypatch, "scandir", "sub", errno.EACCES)
    assert unlisted({"train": ["*/*.h5", "!sub"], "val": "a.h5"}) == []
    assert len(unlisted({"train": ["*/*.h5", "!sub"], "val": ["a.h5", "{sub/**,b.h5}"]})) == 1


def test_nothing_but_a_directory_that_cannot_be_listed(tree, monkeypatch):
    fail(monkeypatch, "scandir", "sub", errno.EACCES)
    for pattern in ("sub/*.h5", "su*/*.h5"):
        with pytest.raises(
            NoMatchError, match=r"matches no .*the directory '.*/sub' cannot be listed: Permission"
        ):
            discover(pattern)


def test_a_path_that_cannot_be_looked_up_stays_in_for_the_scan_to_report(tree, monkeypatch):
    fail(monkeypatch, "lstat", "a.h5", errno.EACCES)
    fail(monkeypatch, "stat", "a.h5", errno.EACCES)
    found = discover("{sub/a,b}.h5")
    assert found.names == ("b.h5", "sub/a.h5")
    assert found.stamps[1].tolist() == [0, 0, 0, 0]


CODE = """
import os, sys
from h5lightning import H5Dataset
from h5lightning.errors import H5LightningError
os.chdir(sys.argv[1])
len(H5Dataset(["in/ok/a.h5", "in/shut/a.h5"], ["x"], index_dir="first"))  # which imports what others may not
os.chmod("in/shut", int(sys.argv[2], 8))
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for pattern in sys.argv[3:]:
    try:
        print(len(H5Dataset(pattern, ["x"], index_dir="second")))
    except H5LightningError as error:
        print(f"{type(error).__name__}: {error}")
"""

LISTED = ("in/*/*.h5", "**/*.h5", "in/{ok,shut}/*.h5")
NAMED = ("in/{ok,shut}/a.h5", "in/*/a.h5")


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("mode", "listed", "named"),
    [
        (
            "000",
            "BadFileError: the directory '.*/in/shut' cannot be listed",
            "BadFileError: '.*/in/shut/a.h5' may not",
        ),
        ("400", "BadFileError: '.*/in/shut/a.h5' may not", "BadFileError: '.*/in/shut/a.h5' may not"),
        ("100", "BadFileError: the directory '.*/in/shut' cannot be listed", "6$"),
        ("700", "6$", "6$"),
    ],
    ids=["nothing", "list", "enter", "all"],
)
def test_permissions(mode, listed, named):
    """In a process of a user without privileges, since root may look anywhere."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        for name in ("ok", "shut"):
            os.makedirs(f"{folder}/in/{name}")
            write_hdf5(f"{folder}/in/{name}/a.h5")
        os.mkdir(f"{folder}/second")
        if os.geteuid() == 0:
            for path in reference.glob(f"{folder}/**", recursive=True):
                os.chown(path, 65534, 65534)
        patterns = (*LISTED, *NAMED)
        done = subprocess.run(
            [sys.executable, "-c", CODE, folder, mode, *patterns], capture_output=True, text=True, check=False
        )
        os.chmod(f"{folder}/in/shut", 0o700)
    lines = done.stdout.splitlines()
    assert len(lines) == len(patterns), done.stderr
    for pattern, line in zip(patterns, lines, strict=True):
        assert re.match(listed if pattern in LISTED else named, line), (pattern, line)


# ── nothing matches ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("suv/*.h5", r"there is no 'suv' in the directory '{}'; did you mean 'sub'\?"),
        ("sub/depe/*.h5", r"there is no 'depe' in the directory '{}/sub'; did you mean 'deep'\?"),
        ("aa.h5", r"there is no 'aa.h5' in the directory '{}'; did you mean 'a.h5'\?"),
        ("/no-such-place/x/*.h5", r"there is no 'no-such-place' in the directory '/'"),
        ("a.h5/*.h5", r"'{}/a.h5' is a file, not a directory"),
        ("other/*.nc", r"the directory '{}/other' has HDF5 files with other names: 'f.h5'"),
        ("astray/*.h5", r"'{}/astray' is a link that leads nowhere"),
        ("set[1]/*.h5", r"to match '.*/set\[1\]', write 'set\[\[\]1\]'"),
        ("*.txt", r"it matches '{}/notes.txt', but none of these is HDF5"),
        (
            "s*",
            r"it matches only directories: '{}/set\[1\]', '{}/sub'; for the files in them, write '{}/s\*/\*\*/\*\.h5'",
        ),
        ("empty/*.h5", r"the directory '{}/empty' holds nothing"),
        ("parent/*.h5", r"has no HDF5 files; '\*\*/\*\.h5' also searches its directories: 'child'"),
        (["a.h5", "x*.h5"], r"'x\*\.h5' matches no HDF5 file \(searched in '{}'\)"),
        ({"train": "a.h5", "test": "x.h5"}, r"'x\.h5' matches no HDF5 file"),
    ],
    ids=str,
)
def test_no_match_names_the_nearest_thing_that_exists(tree, files, message):
    (tree / "astray").symlink_to("lost")
    (tree / "empty").mkdir()
    (tree / "set[1]").mkdir()
    (tree / "parent" / "child").mkdir(parents=True)
    with pytest.raises(NoMatchError, match=message.replace("{}", str(tree))):
        discover(files)


def test_a_long_directory_is_not_listed_in_full(tmp_path):
    plant(tmp_path, *(f"{number}.txt" for number in range(50)))
    with pytest.raises(NoMatchError, match=r"'0\.txt', '1\.txt', '10\.txt', '11\.txt' and 46 more$"):
        discover(f"{tmp_path}/*.h5")


# ── properties ───────────────────────────────────────────────────────────────────────────────────────

# A tree of alternatives: a text, or choices between sequences of such trees.
TEXTS = st.text("ab*/", max_size=3)
OPTIONS = {"min_size": 2, "max_size": 3}
BRACES = st.recursive(TEXTS, lambda inner: st.lists(st.lists(inner, max_size=2), **OPTIONS), max_leaves=6)


def written(node):
    return node if isinstance(node, str) else "{" + ",".join("".join(map(written, o)) for o in node) + "}"


def meant(node):
    if isinstance(node, str):
        return [node]
    return [text for option in node for text in meant_in_sequence(option)]


def meant_in_sequence(nodes):
    texts = [""]
    for node in nodes:
        texts = [text + end for text in texts for end in meant(node)]
    return texts


@given(st.lists(BRACES, max_size=3))
@settings(max_examples=60, deadline=None)
def test_braces_stand_for_all_their_alternatives(nodes):
    expected = meant_in_sequence(nodes)
    assume(len(expected) <= 10_000)
    assert expand_braces("".join(map(written, nodes))) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a{b}c", ["a{b}c"]),
        ("a{b,c", ["a{b,c"]),
        ("a}b,c{", ["a}b,c{"]),
        ("{a{b,c}}", ["{ab}", "{ac}"]),
        ("{}{a,b}", ["{}a", "{}b"]),
        ("{a,{b,c}", ["{a,b", "{a,c"]),
        ("x{,y}", ["x", "xy"]),
    ],
    ids=str,
)
def test_braces_without_alternatives_stay(text, expected):
    assert expand_braces(text) == expected


NAMES = ("**", "*", "a*", "?", "[bc]*", "x", "b", ".h*", "*.h5", "a.h5")
PARTS = st.lists(st.sampled_from(NAMES), max_size=4)


@pytest.fixture(scope="module")
def forest(tmp_path_factory):
    """Files with an HDF5 name in directories of few names, some of them hidden."""
    directory = tmp_path_factory.mktemp("forest")
    plant(directory, "a.h5", "b.h5", "x/a.h5", "x/b/c.h5", "x/b/b/a.h5", "ab/x/x/a.h5", ".h/a.h5", "x/.hh.h5")
    return str(directory)


def files_of(pattern):
    return {path for path in reference.glob(pattern, recursive=True) if os.path.isfile(path)}


@given(PARTS)
@settings(max_examples=150, deadline=None)
def test_wildcards_mean_what_they_mean_elsewhere(forest, parts):
    pattern = "/".join([forest, *parts, "*.h5"])
    expected = sorted(files_of(pattern))
    try:
        found = discover(pattern)
    except NoMatchError:
        assert expected == []
    else:
        assert [found.path(file) for file in range(len(found))] == expected


@given(PARTS)
@settings(max_examples=150, deadline=None)
def test_excludes_cover_what_the_same_pattern_finds_and_what_lies_below(forest, parts):
    exclusion = Exclusion(["/".join(["x", *parts, "b*"])], forest, forest)
    direct = set(reference.glob("/".join([forest, "x", *parts, "b*"]), recursive=True))
    for path in files_of(f"{forest}/**/*"):
        below = any(path == parent or path.startswith(f"{parent}/") for parent in direct)
        assert exclusion.covers(path) == below, path


# ── speed ────────────────────────────────────────────────────────────────────────────────────────────


def test_ten_thousand_files_cost_little_more_than_their_stat(tmp_path):
    plant(tmp_path, *(f"run_{number:05d}.h5" for number in range(10_000)))
    paths = [str(path) for path in tmp_path.iterdir()]

    def least_s(work):
        times = []
        for _ in range(5):
            start = time.process_time()
            work()
            times.append(time.process_time() - start)
        return min(times)

    assert least_s(lambda: discover(f"{tmp_path}/*.h5")) < 6 * least_s(lambda: [os.stat(p) for p in paths])


@pytest.mark.parametrize(
    "name",
    [
        "${HOME}.h5",
        "$HOME.h5",
        "${oc.env:HOME}.h5",
        "a[1].h5",
        "*?.h5",
        "{a,b}.h5",
        "~root",
        "~",
        "${a,b}$.h5",
        "{" * 40 + ",.h5",
    ],
    ids=ascii,
)
def test_an_escaped_path_means_that_file_alone(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for other in (name, "a.h5", "1.h5", "b.h5"):
        Path(other).write_bytes(b"\x89HDF\r\n\x1a\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    # In another folder the text is not the name of a file as it stands.
    monkeypatch.chdir(folder)
    assert list(
        discover([f"../{escape(name)}" if name[0] != "~" else escape(str(tmp_path / name))]).names
    ) == [name]
    monkeypatch.chdir(tmp_path)
    assert list(discover([escape(name)]).names) == [name]
