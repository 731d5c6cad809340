"""What the tests start comes to an end, whatever they find."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest

from .processes import running

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")

# Short sleeps: an interrupt that comes in the moment before a sleep does not end it.
IDLE = [sys.executable, "-c", "import time; print(flush=True)\nwhile True: time.sleep(0.05)"]
# As a shell script starts it in the background: with SIGINT ignored, in itself and in all that it starts.
IN_THE_BACKGROUND = f"""
import signal, subprocess
signal.signal(signal.SIGINT, signal.SIG_IGN)
import tests.conftest
child = subprocess.Popen({IDLE!r}, stdout=subprocess.PIPE)
child.stdout.readline()
child.send_signal(signal.SIGINT)
print(child.wait(20))
signal.raise_signal(signal.SIGINT)
"""


def test_an_interrupt_has_its_effect_also_where_the_tests_run_in_the_background() -> None:
    here = Path(__file__).parent.parent
    with running([sys.executable, "-c", IN_THE_BACKGROUND], cwd=here, stdout=PIPE, stderr=DEVNULL) as process:
        out, _ = process.communicate()
    assert out == f"{-signal.SIGINT}\n"  # of the child
    assert process.returncode == -signal.SIGINT


def test_a_process_that_does_not_end_is_killed() -> None:
    with running(IDLE, seconds=0.2, stdout=PIPE) as process:
        pass
    assert process.returncode == -signal.SIGKILL


def test_a_test_that_fails_leaves_no_process_behind() -> None:
    with pytest.raises(ZeroDivisionError), running(IDLE, stdout=PIPE) as process:
        1 / 0  # noqa: B018
    assert process.returncode == -signal.SIGKILL
