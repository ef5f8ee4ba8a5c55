"""What files hold: one file, or many in parallel, without reading their values."""

from h5lightning.storage.scanning.describe_file import ScanRequest, attribute_names
from h5lightning.storage.scanning.scan_files import difference_between, scan_file, scan_files

__all__ = ["ScanRequest", "attribute_names", "difference_between", "scan_file", "scan_files"]
