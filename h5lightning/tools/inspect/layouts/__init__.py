"""Layouts of scientific fields that are recognised in files, and the call that trains on each."""

from h5lightning.tools.inspect.layouts.recognise import LAYOUTS, recognise

__all__ = ["LAYOUTS", "recognise"]
