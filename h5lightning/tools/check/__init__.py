"""Proving on the user's own files what this package promises, before the expensive run."""

from h5lightning.tools.check.report import CheckReport, prove_files
from h5lightning.tools.check.result import CheckResult
from h5lightning.tools.check.settings import ProofSettings

__all__ = ["CheckReport", "CheckResult", "ProofSettings", "prove_files"]
