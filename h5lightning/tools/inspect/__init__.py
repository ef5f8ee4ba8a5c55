"""What files hold, whether a DataModule can use them, and the code to do so."""

from h5lightning.tools.inspect.report import DatasetReport, Inspection, inspect_files

__all__ = ["DatasetReport", "Inspection", "inspect_files"]
