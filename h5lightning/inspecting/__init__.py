"""What files hold, whether a DataModule can use them, and the code to do so."""

from h5lightning.inspecting.inspection import DatasetReport, Inspection, inspect_files

__all__ = ["DatasetReport", "Inspection", "inspect_files"]
