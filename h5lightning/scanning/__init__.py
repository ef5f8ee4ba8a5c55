"""What files hold: one file, or many in parallel, without reading their values."""

from h5lightning.scanning.many_files import difference_between, scan_file, scan_files
from h5lightning.scanning.one_file import ScanRequest, attribute_names

__all__ = ["ScanRequest", "attribute_names", "difference_between", "scan_file", "scan_files"]
