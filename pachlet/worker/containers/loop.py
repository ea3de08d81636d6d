"""The little shell programs that run inside a container: the loop that waits, and the script of one attempt.

The loop is the container's first process. It reads a line from its standard input for each attempt and runs the script
that lies ready; when the input ends, because the server closed it or died, the loop ends, and with the first process
the kernel ends all others. An attempt ends by killing whatever it started (the first process can't be killed from
inside) and then writing a mark to both streams: what comes before the marks is all that was printed. The mark comes
with the line, so it lies in no file that a step could read. Told so, the loop writes a mark in the middle of an
attempt: what a process that stays printed for one datum is then told from what it prints for the next. Starting an
attempt so takes about a millisecond, where the engine's `exec` takes a hundred.

The shells' variables have names that no image has, for one of the same name would be the step's, too.

Only what POSIX says of `sh`, `env` and `kill` is relied on, and of python3 where the step is to reach a door.

Read next: attempt.py (who reads the marks).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

CONTROL = "/pachlet"
"""Where the control folder is mounted, read-only."""
LOOP = "loop"
ATTEMPT = "attempt"
STDIN = "stdin"
DOORS = "doors"
"""The folder of the sockets behind which are the worker's service and the server."""

GO, SAY = "go", "say"
"""The words that the loop knows, each with a mark behind it: begin an attempt; write the mark."""

LOOP_SCRIPT = f"""if [ -z "$1" ] && mkdir /tmp/.pachlet 2>/dev/null; then
if (cp /proc/$$/exe /tmp/.pachlet/sh && chmod 111 /tmp/.pachlet/sh && /tmp/.pachlet/sh -c :) 2>/dev/null
then exec /tmp/.pachlet/sh {CONTROL}/{LOOP} closed
fi
fi
rm -rf /tmp/.pachlet 2>/dev/null
while read -r pachlet_word pachlet_mark; do
case $pachlet_word in
{GO}) (. {CONTROL}/{ATTEMPT}) & ;;
{SAY}) printf '\\000%s\\n' "$pachlet_mark"; printf '\\000%s\\n' "$pachlet_mark" >&2 ;;
esac
done
"""

"""The loop is run by a copy of the shell that nobody may read: the memory and the files of such a process are closed to
all who have no privilege, so that no step can take it over and go on when its datum is done. It and what it forks have
the same user as the steps, whom nothing else would stop."""

_RELAY = f"""
import socket, sys, threading
def hand_on(source, target):
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
def connect(inside, name):
    with inside, socket.socket(socket.AF_UNIX) as outside:
        outside.connect("{CONTROL}/{DOORS}/" + name)
        answers = threading.Thread(target=hand_on, args=(outside, inside), daemon=True)
        answers.start()
        hand_on(inside, outside)
        answers.join()
def serve(server, name):
    while True:
        threading.Thread(target=connect, args=(server.accept()[0], name), daemon=True).start()
for word in sys.argv[1:]:
    name, port = word.split(":")
    server = socket.create_server(("127.0.0.1", int(port)))
    threading.Thread(target=serve, args=(server, name)).start()
print("ready", flush=True)
"""
"""The way from the step's own loopback to the doors. Who uses them speaks gRPC; where that is Python, as in both of
Pachyderm's clients, so can this be. It says when it listens, so that no step comes too early."""

_MOST_ROUNDS = 10_000
_KILL_ALL = f"""read -r self rest </proc/self/stat
rounds=0 left=1
while [ $left = 1 ] && [ $rounds -lt {_MOST_ROUNDS} ]; do
kill -9 -1 2>/dev/null
rounds=$((rounds + 1)) left=0
for each in /proc/[0-9]*; do
case ${{each#/proc/}} in 1|$self) continue;; esac
read -r line 2>/dev/null <$each/stat || continue
case ${{line##*) }} in [ZX]*) ;; *) left=1;; esac
done
done
"""
"""Kill everything but the loop and this shell, and see it gone: a process that was killed keeps its locks and goes on
writing for a moment. One that is a zombie has let go of all, and the loop never waits for it."""


_EMPTY_MEMORY = """for each in /dev/shm/* /dev/shm/.[!.]*; do
if [ -e "$each" ] || [ -L "$each" ]; then rm -rf /dev/shm/* /dev/shm/.[!.]*; break; fi
done 2>/dev/null
"""
"""What lies there counts as memory of the datums to come. Mostly there is nothing, and then no program is started."""


def attempt_script(
    cmd: Sequence[str],
    cwd: str,
    env: Mapping[str, str],
    *,
    doors: Mapping[str, int] | None = None,
    open_outputs: bool = False,
) -> str:
    """Return the script of one attempt.

    `doors` gives each door its port on the loopback. With `open_outputs` everyone may read what was written: on this
    side of the engine the files may belong to another user.

    The shell's own stderr is shut while the command runs: it would say "Killed" in the step's name.
    """
    program, folder = shlex.quote(cmd[0]), shlex.quote(cwd)
    words = " ".join(shlex.quote(word) for word in [*(f"{key}={value}" for key, value in env.items()), *cmd])
    opened = "chmod -R a+rwX /pfs/out /tmp 2>/dev/null\n" if open_outputs else ""
    return f"""end() {{
{_KILL_ALL}{_EMPTY_MEMORY}{opened}printf '\\000%s %s %s\\n' "$pachlet_mark" "$1" "$2"
printf '\\000%s\\n' "$pachlet_mark" >&2
exit 0
}}
{_open_doors(doors or {})}cd -- {folder} 2>/dev/null || end 127 {folder}': No such file or directory'
if [ -e {program} ] && [ ! -x {program} ]; then end 126 {program}': Permission denied'; fi
command -v -- {program} >/dev/null || end 127 {program}': No such file or directory'
{{ env -- {words} <{CONTROL}/{STDIN} 2>&3; }} 3>&2 2>/dev/null
end $?
"""


def _open_doors(doors: Mapping[str, int]) -> str:
    if not doors:
        return ""
    relay = " ".join(
        ["python3 -I -S -c", shlex.quote(_RELAY), *(f"{name}:{port}" for name, port in doors.items())]
    )
    # Where there is no python3 nobody stands at the doors, and what would come through them is refused.
    return (
        "if command -v python3 >/dev/null; then\n"
        f"mkfifo /tmp/.pachlet-ready 2>/dev/null\n{relay} >/tmp/.pachlet-ready 2>/dev/null &\n"
        "read -r pachlet_ready </tmp/.pachlet-ready; rm -f /tmp/.pachlet-ready\nfi\n"
    )
