"""What files hold, whether a DataModule can use them, and the code to do so."""

from h5lightning.inspecting.inspection import Inspection, inspect_files

__all__ = ["Inspection", "inspect_files"]
