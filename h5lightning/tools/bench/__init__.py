"""`h5lightning bench`: how fast the user's files load with different options, the limits, and what to set."""

from h5lightning.tools.bench.benchmark import bench_files
from h5lightning.tools.bench.report import Benchmark
from h5lightning.tools.bench.timing import Budget

__all__ = ["Benchmark", "Budget", "bench_files"]
