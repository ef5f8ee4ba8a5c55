"""The command `h5lightning`: each module with the name of a command holds its function, which is registered here.

A command imports what it needs when it runs, so that ``--help`` waits for neither torch nor h5py.
"""

from __future__ import annotations

import typer

from h5lightning.cli import bench, check, doctor, index, inspect, stats, train, verify
from h5lightning.cli.report_errors import reported_errors, shown_tracebacks

__all__ = ["app", "main"]

app = typer.Typer(
    name="h5lightning",
    help="HDF5 files as batches for PyTorch Lightning.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("bench")(bench.bench)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)
app.command("index")(index.index)
app.command("inspect")(inspect.inspect)
app.command("stats")(stats.stats)
app.command("verify")(verify.verify)
app.command("train", **train.SETTINGS)(train.train)


def main() -> None:
    """Run the command line; an error of this package ends as one message and exit code 2."""
    with shown_tracebacks(), reported_errors():
        app()
