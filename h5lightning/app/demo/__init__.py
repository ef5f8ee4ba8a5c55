"""The data set of the demo: real physics, small enough to be simulated in seconds on any machine."""

from __future__ import annotations

from h5lightning.app.demo.files import DemoFiles, ensure_demo_files

__all__ = ["DemoFiles", "ensure_demo_files"]
