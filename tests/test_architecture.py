"""Who may touch what, read from the source. Floors and circles are contracts of import-linter, in `pyproject.toml`."""

import ast
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "h5lightning"

# The only callers of h5py.File: `open_file` to read; the demo and the rewriting of files to write new ones.
OPENERS = {"storage.hdf5.open_file", "app.demo.files", "tools.doctor.rewriting.output_files"}


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST) -> set[str]:
    """The modules that a module imports, also inside functions and under TYPE_CHECKING."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            found.add(node.module)
    return found


def read_package(package: Path) -> dict[str, ast.Module]:
    return {
        module_name(path, package): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }


def calls_of_openers(tree: ast.AST) -> list[int]:
    """Lines that call h5py.File or h5f.open, under whatever name h5py was imported."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).split(".")[-2:] in (["h5py", "File"], ["File"], ["h5f", "open"])
    ]


TREES = read_package(PACKAGE)
MODULES = [module for module in TREES if module]


def found_in(
    look: Callable[[ast.Module], Sequence[object]], modules: Iterable[str] = MODULES
) -> dict[str, object]:
    """Module → what was found in it, where anything was."""
    return {module: found for module in modules if (found := look(TREES[module]))}


def test_the_modules_are_looked_at():
    assert set(MODULES) > OPENERS | PRINTERS
    assert {*found_in(calls_of_openers), *found_in(prints_past)} <= OPENERS | PRINTERS


def test_files_are_opened_in_one_place():
    assert found_in(calls_of_openers, set(MODULES) - OPENERS) == {}


# What runs code that lies in data.
EXECUTORS = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def executes_data(tree: ast.AST) -> list[str]:
    """Imports of, and calls to, what may run code that a file holds."""
    found = sorted({target.split(".")[0] for target in imports_of(tree)} & EXECUTORS)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        trusts = {keyword.arg for keyword in call.keywords if keyword.arg == "allow_pickle"}
        if name in ("eval", "exec", "np.load", "numpy.load", "torch.load", "yaml.load") or trusts:
            found.append(name)
    return found


def test_nothing_executes_what_a_file_holds():
    assert found_in(executes_data) == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from joblib import load",
        "np.load(p)",
        "g(p, allow_pickle=True)",
        "eval(t)",
    ],
    ids=["import", "inside", "numpy", "argument", "eval"],
)
def test_the_executor_test_can_fail(source):
    assert executes_data(ast.parse(source))


def lazy_without_lock(tree: ast.AST) -> list[int]:
    """Lines that use `functools.cached_property`, without a lock since Python 3.12: `once` in `core.frozen` has one."""
    names = (ast.Attribute, ast.Name, ast.alias)
    found = [node for node in ast.walk(tree) if isinstance(node, names)]
    return [
        node.lineno
        for node in found
        if "cached_property"
        in (getattr(node, "attr", ""), getattr(node, "id", ""), getattr(node, "name", ""))
    ]


def test_values_that_are_made_late_are_made_once():
    assert found_in(lazy_without_lock) == {}


@pytest.mark.parametrize(
    "source",
    [
        "from functools import cached_property",
        "import functools\n@functools.cached_property\ndef f(self): ...",
    ],
    ids=["name", "attribute"],
)
def test_the_lazy_test_can_fail(source):
    assert lazy_without_lock(ast.parse(source))


# The only modules that print, log and make texts for a terminal: they show names from files with visible escapes.
PRINTERS = {"core.visible", "core.terminal", "cli.report_errors"}


def prints_past(tree: ast.AST) -> list[str]:
    """What shows text in another way than those modules."""
    found = sorted(imports_of(tree) & {"rich.console", "rich.text", "rich.markup", "rich.pretty"})
    names = (
        "print",
        "typer.echo",
        "typer.secho",
        "click.echo",
        "rich.print",
        "logging.getLogger",
        "sys.stdout.write",
    )
    calls = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return found + [name for name in calls if name in (*names, "sys.stderr.write")]


def test_nothing_is_printed_past_what_makes_names_visible():
    assert found_in(prints_past, set(MODULES) - PRINTERS) == {}


@pytest.mark.parametrize(
    "source",
    [
        "print(json.dumps(x))",
        "def f():\n    from rich.console import Console",
        "if TYPE_CHECKING:\n    from rich.text import Text",
        "typer.echo(x)",
        "import logging\nlogging.getLogger(__name__)",
    ],
    ids=["print", "console", "text", "echo", "logger"],
)
def test_the_printing_test_can_fail(source):
    assert prints_past(ast.parse(source)) != []


def defines_without_all(tree: ast.Module) -> list[str]:
    """What a module defines although it does not state its public names."""
    assigned = {ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)}
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [] if "__all__" in assigned else [name for name in defined if name != "__getattr__"]


def test_modules_state_their_public_names():
    assert found_in(defines_without_all) == {}


def test_the_public_names_test_can_fail():
    assert defines_without_all(ast.parse("def f(): ..."))


@pytest.mark.parametrize(
    "source",
    ["import h5py\nh5py.File(p)", "from h5py import File\nFile(p)", "h5py.h5f.open(p)"],
    ids=["attribute", "name", "low-level"],
)
def test_the_opener_test_can_fail(source):
    assert calls_of_openers(ast.parse(source)) != []


PAGE = PACKAGE.parent / "ARCHITECTURE.md"
ROOTS = (PACKAGE.parent, PACKAGE, PACKAGE / "storage")


def missing_paths(text: str) -> list[str]:
    """Paths in backticks that exist nowhere: not below the project, the package or its storage."""
    paths = re.findall(r"`([\w.]+(?:/[\w.]+)*/|[\w./]+\.(?:py|txt|toml))`", text)
    return [path for path in paths if not any((root / path).exists() for root in ROOTS)]


def test_the_page_names_paths_that_exist():
    text = PAGE.read_text(encoding="utf-8")
    assert missing_paths(text) == []
    assert text.count(".py`") > 30


def test_the_path_test_can_fail():
    assert missing_paths("`planning/nothing.py`, `tests/nowhere/`, `planning/`") == [
        "planning/nothing.py",
        "tests/nowhere/",
    ]


def test_each_folder_has_a_line_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    folders = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()]
    assert len(folders) >= 11
    assert [name for name in folders if f"`h5lightning/{name}/`" not in text] == []
    inner = [path.name for path in (PACKAGE / "storage").iterdir() if (path / "__init__.py").exists()]
    assert [name for name in inner if f"`{name}/`" not in text] == []
