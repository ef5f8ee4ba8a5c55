"""What will be slow with the files at hand, measured where that is cheap, and what to do."""

from h5lightning.diagnosing.diagnosis import Diagnosis, diagnose_files
from h5lightning.diagnosing.finding import Finding, Fix
from h5lightning.diagnosing.merged_files import merge_files
from h5lightning.diagnosing.rewritten_files import rewrite_files

__all__ = ["Diagnosis", "Finding", "Fix", "diagnose_files", "merge_files", "rewrite_files"]
