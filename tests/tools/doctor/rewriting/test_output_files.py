"""New files may only lie where the patterns of the originals do not match them."""

import os

import h5py
import pytest

from h5lightning.errors import NoMatchError
from h5lightning.storage.discovery import discover
from h5lightning.tools.doctor.rewriting.output_files import InputPatterns, put_in_place, unfinished_folder

PATHS = (
    "a.h5",
    "b.nc",
    "sub/a.h5",
    "sub/deep/a.h5",
    "rewritten/a.h5",
    ".hidden/a.h5",
    "sub/.b.h5",
    "s[1].h5",
)
PATTERNS = (
    ["*.h5"], ["a.h5"], ["**/*.h5"], ["**"], ["*/*.h5"], ["sub/**/*.h5"], ["{a,sub/*}.h5"], ["./a.*"], ["[ab].*"],
    ["**/a.h5", "!sub"], ["**/*.h5", "!rewritten/**"], ["*", "!*.nc"], ["s[1].h5"], [".hidden/*"], ["sub/../*.h5"],
    ["**/deep/**"], ["**/.b.h5"],
)  # fmt: skip


@pytest.mark.parametrize("patterns", PATTERNS, ids=" ".join)
@pytest.mark.parametrize("is_absolute", [False, True], ids=["relative", "absolute"])
def test_the_patterns_match_what_discovery_finds(tmp_path, monkeypatch, patterns, is_absolute):
    monkeypatch.chdir(tmp_path)
    for path in PATHS:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        h5py.File(path, "w").close()
    if is_absolute:
        patterns = [
            f"!{tmp_path}/{text[1:]}" if text[0] == "!" else f"{tmp_path}/{text}" for text in patterns
        ]
        if any("!" in text and "*" not in text.rpartition("/")[2] for text in patterns):
            patterns = [text for text in patterns if text[0] != "!"]
    try:
        files = discover(patterns)
        found = {files.path(number) for number in range(len(files))}
    except NoMatchError:
        found = set()
    taken = InputPatterns(patterns, str(tmp_path))
    assert {path for path in PATHS if taken.match(str(tmp_path / path))} == {
        os.path.relpath(path, tmp_path) for path in found
    }


@pytest.mark.parametrize("has_links", [True, False])
def test_no_file_is_replaced(tmp_path, monkeypatch, has_links):
    if not has_links:
        monkeypatch.setattr(os, "link", lambda *_: os.listdir(tmp_path / "no"))
    with unfinished_folder(str(tmp_path)) as folder:
        for text in ("new", "newer"):
            with open(os.path.join(folder, text), "w", encoding="utf-8") as file:
                file.write(text)
        put_in_place(os.path.join(folder, "new"), str(tmp_path / "deep" / "a"))
        with pytest.raises(FileExistsError):
            put_in_place(os.path.join(folder, "newer"), str(tmp_path / "deep" / "a"))
    assert (tmp_path / "deep" / "a").read_text(encoding="utf-8") == "new"
    assert os.listdir(tmp_path) == ["deep"]
