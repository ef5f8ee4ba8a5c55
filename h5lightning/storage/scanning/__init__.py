"""Scan files: describe their datasets, one file or many in parallel, without reading the values."""

from h5lightning.storage.scanning.describe_file import attribute_names
from h5lightning.storage.scanning.parallel_scan import difference_between, scan_file, scan_files
from h5lightning.storage.scanning.scan_request import ScanRequest

__all__ = ["ScanRequest", "attribute_names", "difference_between", "scan_file", "scan_files"]
