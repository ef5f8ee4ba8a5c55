"""How files are opened and trusted: paths that must agree, and options that exclude each other."""

import pytest

from h5lightning.errors import OptionError
from h5lightning.options import Access


@pytest.mark.parametrize(
    ("given", "expected"),
    [("/var//_index/", ("var/_index",)), (["a", "/a", "b"], ("a", "b")), ((), ())],
    ids=["one path", "twice", "none"],
)
def test_paths_of_same_have_one_spelling(given, expected):
    assert Access(same=given).same == expected


@pytest.mark.parametrize("given", [3, [3], ["/"], None], ids=repr)
def test_same_that_lists_no_paths_is_refused(given):
    with pytest.raises(OptionError, match=r"access\.same must list paths of datasets"):
        Access(same=given)


def test_checksums_cover_no_values_of_other_files():
    with pytest.raises(OptionError, match=r"access\.verify checks the bytes of the given files"):
        Access(verify=True, allow_external="/data")
