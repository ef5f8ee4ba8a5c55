"""Statistics of the fields of files: mean, spread, ends, missing values, quantiles, and how often categories occur."""

from h5lightning.tools.stats.report import FieldReport, StatsReport, stats_of_files

__all__ = ["FieldReport", "StatsReport", "stats_of_files"]
