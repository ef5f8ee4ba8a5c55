"""The arrows point down: floors, cycles and who may touch what, read from the source."""

import ast
from collections.abc import Collection
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "h5lightning"

# Each floor in the order of ARCHITECTURE.md; a package name stands for all of its modules.
FLOORS = (
    "errors core options",
    "planning",
    "storage",
    "loading",
    "datamodule",
    "config hydra_plugin cli app callbacks tools models plotting __main__",
)

FORBIDDEN = {
    # A module of this floor or below must not import these.
    1: {"h5py", "torch", "lightning", "hydra", "omegaconf"},
    2: {"torch", "lightning", "hydra", "omegaconf"},
    3: {"lightning", "hydra", "omegaconf"},
    4: {"hydra"},
}

# The only callers of h5py.File: opening.py to read, the demo and what mends files to write new ones.
OPENERS = {"storage.hdf5.open_file", "app.demo.files", "tools.doctor.rewriting.output_files"}


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(tree: ast.AST, known: Collection[str] = ()) -> set[str]:
    """What a module imports, also inside functions and under TYPE_CHECKING.

    ``from package import name`` is an import of ``package.name`` where that is one of the ``known`` modules.
    """
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in known else node.module for name in names}
    return found


def read_package(package: Path) -> dict[str, ast.Module]:
    return {
        module_name(path, package): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }


def graph_of(trees: dict[str, ast.Module], name: str = "h5lightning") -> dict[str, set[str]]:
    """Module → the modules of the same package that it imports; the root package is ''."""
    known = {f"{name}.{module}" if module else name: module for module in trees}
    return {
        module: {known[target] for target in imports_of(tree, known) if target in known} - {module}
        for module, tree in trees.items()
    }


def floor_of(module: str) -> int:
    top = module.split(".", maxsplit=1)[0] or "__main__"
    return next(floor for floor, modules in enumerate(FLOORS) if top in modules.split())


def upward_imports(graph: dict[str, set[str]]) -> list[str]:
    """Arrows to a higher floor. The root package names all floors, so that only the top may import it."""
    return [
        f"{module} (floor {floor_of(module)}) imports {target or 'h5lightning'}"
        for module, targets in graph.items()
        for target in targets
        if module and floor_of(target) > floor_of(module)
    ]


def first_cycle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


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


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_floor(module):
    assert any(module.split(".")[0] in floor.split() for floor in FLOORS), (
        f"{module} is on no floor: add it to FLOORS"
    )


def test_no_import_goes_up():
    assert upward_imports(graph_of(TREES)) == []


def test_no_cycle():
    assert first_cycle(graph_of(TREES)) == []


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_nothing_above_its_floor(module):
    forbidden = FORBIDDEN.get(max(floor_of(module), 1), set())
    assert {target.split(".")[0] for target in imports_of(TREES[module])} & forbidden == set()


@pytest.mark.parametrize("module", sorted(set(MODULES) - OPENERS))
def test_only_the_handle_pool_opens_files(module):
    assert calls_of_openers(TREES[module]) == []


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


@pytest.mark.parametrize("module", MODULES)
def test_nothing_executes_what_a_file_holds(module):
    assert executes_data(TREES[module]) == []


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
    """Lines that use `functools.cached_property`, without a lock since Python 3.12: `core.once` has one."""
    names = (ast.Attribute, ast.Name, ast.alias)
    found = [node for node in ast.walk(tree) if isinstance(node, names)]
    return [
        node.lineno
        for node in found
        if "cached_property"
        in (getattr(node, "attr", ""), getattr(node, "id", ""), getattr(node, "name", ""))
    ]


@pytest.mark.parametrize("module", MODULES)
def test_values_that_are_made_late_are_made_once(module):
    assert lazy_without_lock(TREES[module]) == []


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


@pytest.mark.parametrize("module", sorted(set(MODULES) - PRINTERS))
def test_nothing_is_printed_past_what_makes_names_visible(module):
    assert prints_past(TREES[module]) == []


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


@pytest.mark.parametrize("module", MODULES)
def test_module_states_its_public_names(module):
    assigned = {ast.unparse(node.targets[0]) for node in TREES[module].body if isinstance(node, ast.Assign)}
    defines = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in TREES[module].body)
    assert "__all__" in assigned or not defines, f"{module} has no __all__"


def package_of(tmp_path: Path, **sources: str) -> dict[str, ast.Module]:
    for module, source in {"__init__": "", **sources}.items():
        (tmp_path / f"{module}.py").write_text(source)
    return read_package(tmp_path)


def test_the_floor_test_can_fail(tmp_path):
    trees = package_of(
        tmp_path,
        errors="import h5lightning.planning\nimport h5lightning",
        planning="",
        options="import h5lightning",
    )
    assert sorted(upward_imports(graph_of(trees))) == [
        "errors (floor 0) imports h5lightning",
        "errors (floor 0) imports planning",
        "options (floor 0) imports h5lightning",
    ]


def test_the_cycle_test_can_fail(tmp_path):
    trees = package_of(
        tmp_path,
        index="def f():\n    from h5lightning.catalog import x",
        catalog="if TYPE_CHECKING:\n    import h5lightning.index",
    )
    assert set(first_cycle(graph_of(trees))) == {"index", "catalog"}


@pytest.mark.parametrize(
    "source",
    ["import h5py\nh5py.File(p)", "from h5py import File\nFile(p)", "h5py.h5f.open(p)"],
    ids=["attribute", "name", "low-level"],
)
def test_the_opener_test_can_fail(source):
    assert calls_of_openers(ast.parse(source)) != []
