"""Find what will be slow with some files, measure it where that is cheap, and say how to fix it."""

from h5lightning.tools.doctor.finding import Finding, Fix
from h5lightning.tools.doctor.report import Diagnosis, diagnose_files
from h5lightning.tools.doctor.rewriting.merge_files import merge_files
from h5lightning.tools.doctor.rewriting.rewrite_files import rewrite_files

__all__ = ["Diagnosis", "Finding", "Fix", "diagnose_files", "merge_files", "rewrite_files"]
