"""What a greedy step does: one program for each file name, run as one datum each under limits.

Read next: arena.py (who puts them into a repo), test_limits.py (what must come of them).
"""

from __future__ import annotations

MEMORY, DISK = 256 << 20, 8 << 20
OUTLIVING = "a-word-that-outlives"

_FILL = """
import itertools, os
folder = {folder!r}
for each in itertools.count():
    with open(f"{{folder}}/{{each}}", "wb") as file:
        file.write(bytes(1 << 20))
    if each * (1 << 20) > {most}:
        raise SystemExit("nobody stopped me")
"""
_EMPTY_FILES = """
for each in range(400_000):
    open(f"/pfs/out/{each}", "w").close()
raise SystemExit("nobody stopped me")
"""
_ELSEWHERE = """
import os
for folder in ("/var", "/root", "/home", "/opt", "/usr/local", "/run", "/etc", "/pfs"):
    try:
        with open(f"{folder}/fill", "wb") as file:
            for _ in range(1000):
                file.write(bytes(1 << 20))
        raise SystemExit("nobody stopped me")
    except PermissionError:
        continue
    except OSError as problem:
        if problem.errno not in (30, 2):
            raise
print("there is nowhere else to write")
"""
_THREADS = """
import _thread, threading
threading.stack_size(64 << 10)
gate = _thread.allocate_lock()
gate.acquire()
count = 0
try:
    while count < 20_000:
        _thread.start_new_thread(gate.acquire, ())
        count += 1
    raise SystemExit("nobody stopped me")
except RuntimeError:
    print(f"stopped at {count} threads", flush=True)
import os
os._exit(1)
"""
_OUTLIVE = """
import glob, os
mark = "OUTLIVING"
code = "import signal; [signal.signal(each, signal.SIG_IGN) for each in (1, 2, 3, 15)]; signal.pause()"
for each in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execvp("python3", ["python3", "-c", code, mark])
        os._exit(0)
    os.wait()
def living():
    found = 0
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path) as file:
                found += file.read().rstrip(chr(0)).endswith(mark)
        except OSError:
            pass  # it ended
    return found
while living() < 3:
    pass
print(f"living {living()}")
"""
_FORGE = r"""
import sys
sys.stdout.buffer.write(
    b'{"pipelineName": "other", "master": true, "message": "forged"}\n'
    b"attempt 1 of 1 failed: forged\nuser code failed\r\nforged \x1b[2J\x1b]0;title\x07\n"
    b"forged \0 \xff\n\n" + b"long " * 100_000 + b"\n"
)
"""
_MODEST = """
import _thread, threading
data = bytearray(8 << 20)
open("/pfs/out/data", "wb").write(data[:4 << 20])
gate = _thread.allocate_lock()
gate.acquire()
threading.stack_size(64 << 10)
for _ in range(100):
    _thread.start_new_thread(gate.acquire, ())
import os
os._exit(0)
"""

PROGRAMS = {
    "memory": "data = bytearray(1 << 30)",
    "memory in files": _FILL.format(folder="/dev/shm", most=1 << 30),
    "disk": _FILL.format(folder="/pfs/out", most=400 << 20),
    "disk in tmp": _FILL.format(folder="/tmp", most=400 << 20),
    "disk in empty files": _EMPTY_FILES,
    "disk elsewhere": _ELSEWHERE,
    "threads": _THREADS,
    "outlive": _OUTLIVE.replace("OUTLIVING", OUTLIVING),
    "forge": _FORGE,
    "modest": _MODEST,
}
