"""A signal ends the wait wherever the main thread is when it comes.

Read next: pachlet/ending.py.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

# Waits again and again, with a signal at the wait's first step, then at its second, up to the call that waits.
AT_EACH_STEP = """
import dis, faulthandler, itertools, signal, sys
from pachlet.ending import Ending

faulthandler.dump_traceback_later(60, exit=True)
waiting = Ending.wait.__code__
at_the_call = False
sys._getframe().f_trace_opcodes = True  # before tracing starts: Python 3.12 looks for it only then

def trace(frame, event, argument):
    global left, at_the_call
    if frame.f_code is waiting:
        frame.f_trace_opcodes = True
    if event == "opcode":
        left -= 1
        if left == 0:
            at_the_call = dis.opname[waiting.co_code[frame.f_lasti]].startswith("CALL")
            signal.raise_signal(NUMBER)
    return trace

for step in itertools.count(1):
    ending, left = Ending(), step
    sys.settrace(trace)
    ending.wait()
    sys.settrace(None)
    if at_the_call:
        print(step)
        break
"""


@pytest.mark.parametrize("number", ["signal.SIGTERM", "signal.SIGINT"])
def test_a_signal_ends_the_wait_wherever_it_comes(number: str) -> None:
    code = AT_EACH_STEP.replace("NUMBER", number)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) > 2


def test_a_signal_before_the_wait_and_a_thousand_of_them_end_it_too() -> None:
    code = (
        "import signal; from pachlet.ending import Ending; ending = Ending();"
        "[signal.raise_signal(signal.SIGTERM) for _ in range(100_000)]; ending.wait()"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_a_signal_that_arrives_at_another_thread_ends_it_too() -> None:
    code = """
import faulthandler, signal, sys, threading
from pachlet.ending import Ending

faulthandler.dump_traceback_later(60, exit=True)
main = threading.get_ident()

def send():
    while sys._current_frames()[main].f_code is not Ending.wait.__code__:
        pass
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

ending = Ending()
threading.Thread(target=send).start()
ending.wait()
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
