"""What will be slow with the files at hand, measured where that is cheap, and what to do."""

from h5lightning.diagnosing.diagnosis import Diagnosis, diagnose_files
from h5lightning.diagnosing.finding import Finding, Fix

__all__ = ["Diagnosis", "Finding", "Fix", "diagnose_files"]
