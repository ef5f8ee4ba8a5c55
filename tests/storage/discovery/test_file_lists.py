"""Lists of files in text files: what they stand for, and mistakes in them."""

from __future__ import annotations

import os
import time

import pytest

from h5lightning.errors import DiscoveryError, NoMatchError
from h5lightning.storage.discovery import discover
from h5lightning.storage.discovery.patterns import escape
from h5lightning.tools.doctor.rewriting.output_files import InputPatterns


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A directory of files, which is the current one, and a folder of lists beside the data."""
    for name in (
        "data/a.h5",
        "data/b.h5",
        "data/sub/c.h5",
        "data/sub/d.h5",
        "lists/e.h5",
        "@x.h5",
        "data/#1.h5",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(tree, text, name="lists/l.txt"):
    (tree / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"@{name}"


def found(files):
    discovered = discover(files)
    return [os.path.relpath(discovered.path(file)) for file in range(len(discovered))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("../data/a.h5", ["data/a.h5"]),
        ("e.h5\n", ["lists/e.h5"]),
        ("\ufeff# the good ones\n\n  ../data/b.h5\t\r\n../data/a.h5\r\n\n", ["data/a.h5", "data/b.h5"]),
        ("../data/sub/*.h5\n../data/{a,b}.h5", ["data/a.h5", "data/b.h5", "data/sub/c.h5", "data/sub/d.h5"]),
        ("../data/a.h5\n../data/a.h5", ["data/a.h5"]),
        ("../data/#1.h5", ["data/#1.h5"]),
        ("$TREE/data/a.h5", ["data/a.h5"]),
        ("~/data/b.h5", ["data/b.h5"]),
    ],
    ids=ascii,
)
def test_what_a_list_stands_for(tree, monkeypatch, text, expected):
    monkeypatch.setenv("TREE", str(tree))
    monkeypatch.setenv("HOME", str(tree))
    assert found(write(tree, text)) == expected
    assert found([write(tree, text)]) == expected


def test_the_list_itself_is_found_as_a_pattern_is(tree, monkeypatch):
    write(tree, "../data/a.h5")
    monkeypatch.setenv("LISTS", "lists")
    for text in ("@$LISTS/l.txt", f"@{tree}/lists/l.txt", "@./lists/../lists/l.txt"):
        assert found(text) == ["data/a.h5"]
    assert discover("@l.txt", directory=str(tree / "lists")).names == ("a.h5",)


def test_lists_and_patterns_add_up_in_path_order(tree):
    files = [write(tree, "../data/sub/d.h5\n../data/a.h5"), "lists/*.h5"]
    assert found(files) == ["data/a.h5", "data/sub/d.h5", "lists/e.h5"]
    assert discover(files).root == str(tree)


def test_the_root_is_the_common_directory_of_the_lines(tree):
    listed = discover(write(tree, "../data/sub/c.h5\n../data/a.h5"))
    assert (listed.root, listed.names) == (str(tree / "data"), ("a.h5", "sub/c.h5"))


def test_a_list_may_leave_files_out(tree):
    left_out = "!" + write(tree, "../data/a.h5\n# more\n../data/sub\n")
    assert found(["data/**/*.h5", left_out]) == ["data/#1.h5", "data/b.h5"]
    # As an entry of 'files', a name alone is left out wherever it lies.
    assert "data/sub/c.h5" not in found(["data/**/*.h5", "!" + write(tree, "c.h5\n#")])
    assert len(found(["data/**/*.h5", "!" + write(tree, "# nothing\n")])) == 5


def test_each_split_has_its_list(tree):
    train, val = (
        write(tree, "../data/a.h5\n../data/b.h5", "lists/train.txt"),
        write(tree, "e.h5", "lists/val.txt"),
    )
    left_out = "!" + write(tree, "d.h5", "lists/no.txt")
    discovered = discover({"train": train, "val": [val, "data/sub/*.h5", left_out]})
    roles = {role: [discovered.names[file] for file in files] for role, files in discovered.roles.items()}
    assert roles == {"train": ["data/a.h5", "data/b.h5"], "val": ["data/sub/c.h5", "lists/e.h5"]}
    both = write(tree, "e.h5\n../data/a.h5", "lists/both.txt")
    with pytest.raises(
        DiscoveryError,
        match=r"a\.h5' is in two splits: train \('\.\./data/a\.h5' \(line 1 of .*train\.txt'\)\)",
    ):
        discover({"train": train, "val": both})


def test_a_file_whose_name_begins_with_the_mark(tree):
    assert found("./@x.h5") == ["@x.h5"]
    assert found(escape("@x.h5")) == ["@x.h5"]
    with pytest.raises(
        DiscoveryError, match=r"x\.h5' cannot be read: No such file.* this name is '\./@x\.h5'"
    ):
        discover("@x.h5")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("../data/a.h5\n../data/nope.h5", NoMatchError, r"'\.\./data/nope\.h5' \(line 2 of '.*l\.txt'\) matches no"),
        ("#\n\n../data/z*.h5", NoMatchError, r"\(line 3 of '.*l\.txt'\) matches no HDF5 file \(searched in"),
        ("../data/", DiscoveryError, r"line 1 of '.*l\.txt': '\.\./data/' names directories"),
        ("$NOWHERE/a.h5", DiscoveryError, r"line 1 of '.*l\.txt': .* the environment variable 'NOWHERE' is not set"),
        ("s3://bucket/a.h5", DiscoveryError, r"line 1 of '.*l\.txt': .* is a URL"),
        ("!../data/a.h5", DiscoveryError, r"line 1 of '.*l\.txt': '!\.\./data/a\.h5' leaves files out.*'!@other\.txt'"),
        ("@more.txt", DiscoveryError, r"line 1 of '.*l\.txt': '@more\.txt' names another list"),
        ("# nothing\n", NoMatchError, r"'@lists/l\.txt' names no file: write a path or pattern on each line"),
        (b"\x89HDF\r\n\x1a\n\0\0", DiscoveryError, r"l\.txt' is no text: .* file with this name is '\./@lists/l\.txt'"),
    ],
    ids=ascii,
)  # fmt: skip
def test_mistakes_are_named_with_their_line(tree, text, error, message):
    with pytest.raises(error, match=message):
        discover(write(tree, text))


@pytest.mark.parametrize(
    ("text", "why"), [("@", "an empty pattern"), ("@lists", "Is a directory"), ("@no/l.txt", "No such file")]
)
def test_a_list_that_cannot_be_read_is_named(tree, text, why):
    with pytest.raises(DiscoveryError, match=why):
        discover(text)
    with pytest.raises(DiscoveryError, match=why):
        discover(["data/*.h5", f"!{text}"])


def test_many_lines_cost_little(tree):
    names = [f"n/{number}.h5" for number in range(3000)]
    (tree / "n").mkdir()
    for name in names:
        (tree / name).touch()
    start = time.perf_counter()
    assert len(found(write(tree, "\n".join(f"../{name}" for name in names)))) == 3000
    assert time.perf_counter() - start < 3


def test_new_files_do_not_land_among_those_of_a_list(tree):
    inputs = InputPatterns(
        [write(tree, "../data/*.h5"), "!" + write(tree, "../data/b.h5", "lists/no.txt")], str(tree)
    )
    assert inputs.match(str(tree / "data/new.h5"))
    assert not inputs.match(str(tree / "data/b.h5"))
    assert not inputs.match(str(tree / "lists/e.h5"))
