# The commands of this project, the same that CI runs. `just` lists them; `pip install -e '.[dev]'` brings `just` along.

[private]
default:
    @just --list --unsorted

# All tests, and how long the slowest took
test *arguments:
    python -m pytest -n 2 --dist loadfile --durations=25 {{ arguments }}

# The tests that take less than five seconds each
quick *arguments:
    python -m pytest -m 'not slow and not campaign' {{ arguments }}

# Style, floors of the package, and notebooks without outputs
lint:
    ruff check .
    ruff format --check .
    lint-imports
    nbstripout --verify --keep-id notebooks/*.ipynb

# Types of the package
types:
    mypy

# The blocks of the README, the examples of docstrings and the notebooks, run
docs:
    python -m pytest tests/test_readme.py h5lightning notebooks

# Loading beside baselines and the limits of the machine; `just bench --quick` for a look
bench *arguments:
    python tests/benchmarks/run.py {{ arguments }}

# Long randomised and fault-injection tests
campaign *arguments:
    python -m pytest -m campaign {{ arguments }}

# Branches that the tests run; fails below the limit in pyproject.toml
coverage *arguments:
    python -m pytest --cov --cov-report= {{ arguments }}
    coverage report

# The tests on several Pythons, and with the lowest versions that pyproject.toml accepts (downloads some GB for each)
matrix *pythons='3.10 3.11 3.12 3.13':
    python tests/pythons.py {{ pythons }}
    python tests/pythons.py --lowest 3.11

# The changelog with the fragments in .changelog, as the next release will show it
changelog:
    towncrier build --draft --version next

# All that a change must pass, in a fresh environment
check:
    .ci/run
