"""The tree of errors: what callers may catch, and what survives the way out of a worker process."""

import builtins
import inspect
import pickle
import re

import pytest
from torch._utils import ExceptionWrapper

from h5lightning import errors
from h5lightning.errors import H5LightningError, SchemaError

MESSAGE = "'/u' in b.h5 has 7 rows, expected 9. Write it again"
CLASSES = [
    value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, H5LightningError)
]
SPECIFIC = [kind for kind in CLASSES if kind is not H5LightningError]

by_name = pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)


def drawn_tree() -> dict[str, tuple[str, ...]]:
    """Class → names of its bases, as the docstring of the module draws them."""
    bases: dict[str, tuple[str, ...]] = {}
    above: list[str] = []
    for line in inspect.cleandoc(errors.__doc__).splitlines():
        found = re.fullmatch(r"    ([│ ]*(?:[├└]── )?)(\w+Error)(?: \((\w+)\))?(?: .*)?", line)
        if found:
            depth = len(found[1]) // 4
            del above[depth:]
            bases[found[2]] = tuple(name for name in (*above[-1:], found[3]) if name)
            above.append(found[2])
    return bases


def test_the_tree_of_the_docstring_is_the_tree_of_the_classes():
    actual = {kind.__name__: tuple(base.__name__ for base in kind.__bases__) for kind in SPECIFIC}
    assert drawn_tree() == {"H5LightningError": (), **actual}


def test_all_classes_are_public():
    assert errors.__all__ == sorted(kind.__name__ for kind in CLASSES)


@pytest.mark.parametrize("kind", SPECIFIC, ids=lambda kind: kind.__name__)
def test_is_caught_as_a_builtin_and_as_ours(kind):
    caught_as = [base for base in kind.__mro__ if base.__module__ == builtins.__name__]
    assert issubclass(kind, H5LightningError)
    assert set(caught_as) - {Exception, BaseException, object}, f"{kind.__name__} is no specific builtin"


@by_name
def test_text_is_the_message(kind):
    assert str(kind(MESSAGE)) == MESSAGE


@by_name
def test_is_rebuilt_from_its_text(kind):
    rebuilt = kind(str(kind(MESSAGE)))
    assert (type(rebuilt), str(rebuilt), rebuilt.args) == (kind, MESSAGE, (MESSAGE,))


@by_name
def test_pickles(kind):
    copy = pickle.loads(pickle.dumps(kind(MESSAGE)))
    assert (type(copy), str(copy)) == (kind, MESSAGE)


@by_name
def test_without_a_message_its_text_is_its_name(kind):
    assert str(kind()) == kind.__name__


@by_name
def test_says_what_it_means(kind):
    assert inspect.getdoc(kind) != inspect.getdoc(kind.__bases__[0])
    assert inspect.getdoc(kind).endswith(".")


# ── names in messages ────────────────────────────────────────────────────────────────────────────────


@by_name
def test_a_name_in_a_message_is_shown_and_begins_no_line(kind):
    error = kind("'/a\x1b[2J\u202e\x9b' in b\nValueError: forged.h5")
    shown = r"'/a\x1b[2J\u202e\x9b' in b\nValueError: forged.h5"
    assert (str(error), error.args) == (shown, (shown,))
    assert str(pickle.loads(pickle.dumps(error))) == shown


def test_the_error_of_a_worker_keeps_the_lines_of_its_traceback():
    try:
        raise SchemaError("'a\x1b\n' differs")
    except SchemaError:
        wrapped = ExceptionWrapper(where="in DataLoader worker process 0")
    with pytest.raises(SchemaError) as caught:
        wrapped.reraise()
    lines = str(caught.value).splitlines()
    assert lines[0] == "Caught SchemaError in DataLoader worker process 0."
    assert lines[-1] == r"h5lightning.errors.SchemaError: 'a\x1b\n' differs"


def test_a_name_passes_for_no_error_of_a_worker():
    assert "\n" not in str(
        SchemaError("'Caught A in b.\nOriginal Traceback (most recent call last):\n' differs")
    )
