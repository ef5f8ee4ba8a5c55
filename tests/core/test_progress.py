"""A bar appears on a terminal, and only for work that takes long."""

import os
import pty
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.timeout(60)

WORK = """
    import sys
    from h5lightning.core import progress

    class Clock:
        # Not that of the machine, which may be busy.

        now_s = 0.0

        def monotonic(self):
            return self.now_s

    progress.time = clock = Clock()
    with progress.progress_bar("counting", 4, is_enabled={is_enabled}) as advance:
        for _ in range(4):
            clock.now_s += {step_s}
            advance(1)
    print("rich.progress" in sys.modules)
"""


def run(step_s, *, on_terminal, is_enabled=True):
    """What a program writes to its standard output and standard error."""
    code = textwrap.dedent(WORK).format(step_s=step_s, is_enabled=is_enabled)
    reader, writer = pty.openpty() if on_terminal else os.pipe()
    environment = {name: value for name, value in os.environ.items() if name != "FORCE_COLOR"}
    environment |= {"TERM": "xterm", "COLUMNS": "100"}
    with open(reader, "rb", buffering=0) as shown:
        done = subprocess.run(
            [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, stderr=writer, env=environment
        )
        os.close(writer)
        return done.stdout.decode().strip(), read_all(shown)


def read_all(file):
    parts = []
    try:
        while part := file.read(65536):
            parts.append(part)
    except OSError:
        pass  # Linux says EIO where a terminal ends
    return b"".join(parts).decode()


def test_long_work_on_a_terminal_shows_a_bar():
    _, shown = run(0.4, on_terminal=True)
    assert "counting" in shown
    assert "4/4" in shown


@pytest.mark.parametrize(
    ("step_s", "options"),
    [(0.0, {"on_terminal": True}), (0.4, {"on_terminal": False})],
    ids=["short", "no-terminal"],
)
def test_otherwise_nothing_is_shown(step_s, options):
    assert run(step_s, **options)[1] == ""


def test_bar_that_is_not_wanted_costs_nothing():
    assert run(0.3, on_terminal=True, is_enabled=False) == ("False", "")
