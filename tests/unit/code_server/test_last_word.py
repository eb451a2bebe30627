"""A run's process says that nothing of it is left only when that is so."""

import subprocess
import sys

import pytest

_END = "end(Ending(last_word=lambda: os.write(1, b'nothing is left')))"
_ALONE = ""
_WITH_CHILD = "subprocess.Popen(['sleep', '60'], stdout=subprocess.DEVNULL, start_new_session=True)"
_WITH_ORPHAN = "adopt_orphans(); subprocess.run(['sh', '-c', 'sleep 60 >/dev/null 2>&1 &'])"
_WITH_THREAD = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"


def _said(left: str) -> bytes:
    script = (
        "import os, signal, subprocess, threading, time\n"
        "from isthmus_code_server.kernel.family import adopt_orphans, children_of\n"
        "from isthmus_code_server.kernel.process import Ending, end\n"
        f"{left}\n"
        # After the decision, so that the test leaves nothing behind.
        "leave = os._exit\n"
        "os._exit = lambda code: ([os.kill(pid, signal.SIGKILL) for pid in children_of(os.getpid())], leave(code))\n"
        f"{_END}\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60)
    assert done.stderr == b""
    return done.stdout


def test_a_process_that_leaves_nothing_says_so_last() -> None:
    assert _said(_ALONE) == b"nothing is left"


@pytest.mark.parametrize("left", [_WITH_CHILD, _WITH_ORPHAN, _WITH_THREAD], ids=["child", "orphan", "daemon thread"])
def test_a_process_that_leaves_something_says_nothing(left: str) -> None:
    assert _said(left) == b""
