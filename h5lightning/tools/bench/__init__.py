"""How fast the user's own files come in different ways, beside the limits of the machine, and what to set."""

from h5lightning.tools.bench.benchmark import Budget, bench_files
from h5lightning.tools.bench.report import Benchmark

__all__ = ["Benchmark", "Budget", "bench_files"]
