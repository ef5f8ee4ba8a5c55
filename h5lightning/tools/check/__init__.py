"""Check on the user's files, before the expensive run, what this package promises."""

from h5lightning.tools.check.report import CheckReport, check_files
from h5lightning.tools.check.run import CheckResult
from h5lightning.tools.check.settings import CheckSettings

__all__ = ["CheckReport", "CheckResult", "CheckSettings", "check_files"]
