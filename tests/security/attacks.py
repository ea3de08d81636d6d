"""What a hostile step tries: a program of its own that runs in a sandbox, and, for the control, outside of it.

    python3 attacks.py TARGETS.json [NAME ...]

It prints a line of JSON for each attack: its name, and what it got or why not. Each is tried in a process of its own.
It needs nothing but the standard library, as it runs on whatever Python an image has.

Read next: test_sandbox.py (who runs it, and on what).
"""

from __future__ import annotations

import ctypes
import fcntl
import glob
import json
import mmap
import os
import signal
import socket
import struct
import sys

_libc = ctypes.CDLL(None, use_errno=True)
_MACHINE = os.uname().machine
_IS_X86 = _MACHINE == "x86_64"
_NUMBERS = {
    "ptrace": (101, 117),
    "syslog": (103, 116),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "perf_event_open": (298, 241),
    "open_by_handle_at": (304, 265),
    "process_vm_readv": (310, 270),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "init_module": (175, 105),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "adjtimex": (159, 171),
}
_PTRACE_SEIZE, _PTRACE_DETACH = 0x4206, 17
_CLONE_NEWUSER, _CLONE_NEWNS, _CLONE_NEWNET = 0x10000000, 0x00020000, 0x40000000
_USER_KEYRING = -4
_TIOCSTI = 0x5412

ATTACKS = {}


def attack(*names):
    """Register a function under names: it is given the targets and its name, and returns what it got."""

    def register(function):
        for each in names:
            ATTACKS[each] = function
        return function

    return register


def call(name, *arguments):
    """Make a system call by its number; raise OSError."""
    number = _NUMBERS[name][0 if _IS_X86 else 1]
    given = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    _libc.syscall.restype = ctypes.c_long
    result = _libc.syscall(ctypes.c_long(number), *given)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def read(path, most=1 << 20):
    with open(path, "rb") as file:
        return file.read(most)


def found_in(paths, wanted):
    """Return the first of the files that has a text in it."""
    problem = None
    for each in paths:
        try:
            if wanted.encode() in read(each):
                return each
        except OSError as error:
            problem = error  # another may be open
    if problem:
        raise problem
    return None


# Reading what is not its own


@attack(
    "read the store",
    "read the database",
    "read another pipeline's input",
    "read a file of the server's user",
    "read the passwords of the machine",
)
def read_by_path(targets, name):
    return read(targets[name], 16)


@attack("read another pipeline's input by way of a process's root")
def read_by_root(targets, name):
    for each in glob.glob("/proc/[0-9]*"):
        for link in ("root", "cwd"):
            try:
                if read(f"{each}/{link}{targets[name]}"):
                    return each
            except OSError:
                continue
    return None


@attack("read the store by its handle")
def read_by_handle(targets, name):
    kind, handle = targets[name]
    handle = bytes.fromhex(handle)
    mount = os.open("/pfs" if os.path.isdir("/pfs") else targets["near the store"], os.O_RDONLY)
    record = struct.pack("Ii", len(handle), kind) + handle
    return os.read(call("open_by_handle_at", mount, record, os.O_RDONLY), 16)


@attack("read the server's environment", "read another pipeline's secret")
def read_environments(targets, name):
    return found_in(["/proc/self/environ", *glob.glob("/proc/[0-9]*/environ")], targets[name])


@attack("find another pipeline's secret in a file")
def read_secret_file(targets, name):
    path = targets["secret file"]
    return found_in([path, *glob.glob(f"/proc/[0-9]*/root{path}")], targets[name])


# Changing its inputs


def _reopen(path):
    descriptor = os.open(path, os.O_RDONLY)
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR)


def _map(path):
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 1) as mapped:
        mapped[0] = 65


def _link(path):
    os.link(path, "/pfs/out/.hard-link")
    os.unlink("/pfs/out/.hard-link")


CHANGES = {
    "write": lambda path: os.write(os.open(path, os.O_WRONLY | os.O_APPEND), b"!"),
    "truncate": lambda path: os.truncate(path, 1),
    "write by way of /proc/self/fd": _reopen,
    "map it for writing": _map,
    "change its mode": lambda path: os.chmod(path, 0o666),
    "change its time": lambda path: os.utime(path, (1, 1)),
    "set an attribute": lambda path: os.setxattr(path, "user.x", b"x"),
    "link it to the output": _link,
    "make a file beside it": lambda path: os.close(os.open(path + ".new", os.O_WRONLY | os.O_CREAT)),
    "rename it": lambda path: os.rename(path, path + ".other"),
    "remove it": lambda path: os.unlink(path),
}


def change(targets, name):
    kind, _, what = name.partition(": ")
    path = targets["input"]
    if kind == "own file":
        path = "/pfs/out/own"
        with open(path, "w") as file:
            file.write("mine")
    CHANGES[what](path)
    return "done"


for _each in CHANGES:
    ATTACKS[f"input: {_each}"] = ATTACKS[f"own file: {_each}"] = change


# The network


@attack("reach the server's port", "reach another program's port")
def connect_tcp(targets, name):
    with socket.create_connection(("127.0.0.1", targets[name]), 10):
        return "connected"


@attack("reach another program's port over IPv6")
def connect_tcp6(targets, name):
    with socket.create_connection(("::1", targets[name]), 10):
        return "connected"


@attack("send a datagram")
def send_datagram(targets, name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("127.0.0.1", targets[name]))
        sender.settimeout(2)
        return sender.recv(10)


@attack("find a way to other machines")
def route(targets, name):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("192.0.2.1", 9))
        return sender.getsockname()[0]


@attack("reach an abstract socket", "reach a socket in a folder")
def connect_unix(targets, name):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(targets[name].replace("@", "\0"))
        return client.recv(10)


@attack("reach a container engine")
def connect_engine(targets, name):
    for path in ("/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock", targets["engine"]):
        if path and os.path.exists(path):
            return path
    return None


@attack("open a socket to the hypervisor")
def open_vsock(targets, name):
    with socket.socket(40, socket.SOCK_STREAM) as opened:
        return opened.family


@attack("open a raw socket")
def open_raw(targets, name):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP):
        return "opened"


# Other processes


@attack("see another process")
def see(targets, name):
    return targets["bystander"] in [int(each) for each in os.listdir("/proc") if each.isdigit()] and found_in(
        glob.glob("/proc/[0-9]*/cmdline"), targets["mark of the bystander"]
    )


@attack("signal another process")
def send_signal(targets, name):
    os.kill(targets["bystander"], 0)
    return found_in([f"/proc/{targets['bystander']}/cmdline"], targets["mark of the bystander"])


def _seize(pid):
    call("ptrace", _PTRACE_SEIZE, pid, 0, 0)
    return "traced"


@attack("trace another process")
def trace(targets, name):
    if not see(targets, name):
        return None
    return _seize(targets["bystander"])


def _read_memory(pid):
    with open(f"/proc/{pid}/maps") as file:
        start = next(int(line.split("-")[0], 16) for line in file if " r" in line)
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        file.seek(start)
        return file.read(4)


@attack("read the memory of another process")
def read_memory(targets, name):
    if not see(targets, name):
        return None
    return _read_memory(targets["bystander"])


def _with_child(what):
    """Do something to a child of ours."""
    child = os.fork()
    if child == 0:
        signal.pause()
    try:
        return what(child)
    finally:
        os.kill(child, signal.SIGKILL)


WHO = {
    "trace": _seize,
    "read the memory of": _read_memory,
    "write to the memory of": lambda pid: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)) or "opened",
    "read the environment of": lambda pid: read(f"/proc/{pid}/environ") or "empty",
    "see the open files of": lambda pid: os.readlink(f"/proc/{pid}/fd/0"),
    "enter the root of": lambda pid: os.listdir(f"/proc/{pid}/root/"),
}


def to_process(targets, name):
    what, _, who = name.rpartition(" ")
    return WHO[what](1) if who == "1" else _with_child(WHO[what])


for _each in WHO:
    ATTACKS[f"{_each} 1"] = ATTACKS[f"{_each} child"] = to_process


# The kernel


@attack("mount a file system")
def mount(targets, name):
    os.makedirs("/tmp/.mounted", exist_ok=True)
    _check(_libc.mount(b"none", b"/tmp/.mounted", b"tmpfs", 0, None))
    _check(_libc.umount2(b"/tmp/.mounted", 2))
    return "mounted"


@attack("make its inputs writable by mounting")
def remount(targets, name):
    _check(_libc.mount(None, targets["below /pfs"].encode(), None, ctypes.c_ulong(32 | 4096), None))
    return "mounted"


@attack("take a mount away")
def unmount(targets, name):
    _check(_libc.umount2(targets["mount"].encode(), 2))
    return "unmounted"


@attack("make a device")
def make_device(targets, name):
    os.mknod("/tmp/.device", 0o600 | 0o020000, os.makedev(1, 3))
    try:
        os.close(os.open("/tmp/.device", os.O_RDONLY))
        return "opened"
    finally:
        os.unlink("/tmp/.device")


@attack("open a disk")
def open_disk(targets, name):
    return os.close(os.open(targets[name], os.O_RDONLY)) or "opened"


def _unshare(flags):
    _check(_libc.unshare(flags))
    return "made"


@attack("get privileges in a user namespace")
def user_namespace(targets, name):
    return _unshare(_CLONE_NEWUSER)


@attack("make a mount namespace")
def mount_namespace(targets, name):
    return _unshare(_CLONE_NEWNS)


@attack("change the root")
def change_root(targets, name):
    os.chroot("/tmp")
    return "changed"


@attack("enter the namespace of a process")
def enter_namespace(targets, name):
    _check(_libc.setns(os.open(f"/proc/{targets['bystander']}/ns/net", os.O_RDONLY), 0))
    return "entered"


def _refused_for_privilege(*arguments):
    """Make a call that must fail: for want of a privilege, or else because nothing valid is asked for."""
    try:
        call(*arguments)
    except OSError as problem:
        if problem.errno in (1, 38):
            raise
        return f"only refused for: {problem.strerror}"
    return "done"


@attack("load a kernel module")
def load_module(targets, name):
    return _refused_for_privilege("init_module", b"", 0, b"")


@attack("restart the machine")
def restart(targets, name):
    return _refused_for_privilege("reboot", 1, 1, 0, 0)


@attack("swap to a file")
def swap(targets, name):
    return _refused_for_privilege("swapon", b"/nowhere", 0)


@attack("set the clock")
def set_clock(targets, name):
    return _refused_for_privilege("adjtimex", struct.pack("I", 0x4000) + bytes(204))  # a tick of no length


@attack("change a setting of the kernel")
def write_setting(targets, name):
    for path in (
        "/proc/sys/vm/swappiness",
        "/proc/sys/kernel/panic_on_oops",
        "/proc/sys/kernel/core_pattern",
    ):
        value = read(path)
        with open(path, "wb") as file:
            file.write(value)
    return "written"


@attack("press a key of the kernel's")
def system_request(targets, name):
    return os.close(os.open("/proc/sysrq-trigger", os.O_WRONLY)) or "opened"


@attack("change a device by way of /sys")
def write_sys(targets, name):
    for path in glob.glob("/sys/block/*/queue/read_ahead_kb") + glob.glob("/sys/kernel/mm/*/enabled"):
        value = read(path)
        with open(path, "wb") as file:
            file.write(value.split(b"[")[-1].split(b"]")[0])
        return "written"
    return None


@attack("read the kernel's log")
def read_log(targets, name):
    buffer = ctypes.create_string_buffer(4096)
    return call("syslog", 3, buffer, 4096) and "read"


@attack("read the kernel's log from a device")
def read_log_device(targets, name):
    return os.close(os.open("/dev/kmsg", os.O_RDONLY)) or "opened"


@attack("read the kernel's log from /proc")
def read_log_file(targets, name):
    return os.read(os.open("/proc/kmsg", os.O_RDONLY | os.O_NONBLOCK), 100)


@attack("read the kernel's memory")
def read_kernel(targets, name):
    return read("/proc/kcore", 64)


@attack("learn of the kernel's insides")
def read_insides(targets, name):
    got = []
    for each in [
        "iomem",
        "kpagecount",
        "kpageflags",
        "latency_stats",
        "sched_debug",
        "slabinfo",
        "timer_list",
        "vmallocinfo",
    ]:
        try:
            if read(f"/proc/{each}", 64):
                got.append(each)
        except OSError:
            continue
    return got


@attack("read a key of the server's user")
def read_key(targets, name):
    call("keyctl", 8, _USER_KEYRING, -2)  # link the user's keyring to the process's own
    key = call("keyctl", 10, _USER_KEYRING, b"user", targets[name].encode(), 0)
    buffer = ctypes.create_string_buffer(64)
    return call("keyctl", 11, key, buffer, 64) and buffer.value


@attack("have the machine look for a key")
def request_key(targets, name):
    return _refused_for_privilege("request_key", b"user", b"no such key", None, 0)


@attack("load a program into the kernel")
def load_bpf(targets, name):
    return _refused_for_privilege("bpf", 5, None, 0)


@attack("watch the processor's events")
def watch_events(targets, name):
    # Counting events of software of this process only: allowed to everyone where perf_event_paranoid is at most 2.
    record = struct.pack("IIQQQQQ", 1, 112, 0, 0, 0, 0, 1 << 5 | 1 << 6) + bytes(64)
    return call("perf_event_open", record, 0, -1, -1, 0)


@attack("handle page faults")
def handle_faults(targets, name):
    return call("userfaultfd", 1)


@attack("make a ring of requests")
def make_ring(targets, name):
    return call("io_uring_setup", 1, bytes(120)) and "made"


@attack("raise its priority")
def raise_priority(targets, name):
    os.setpriority(os.PRIO_PROCESS, 0, -20)
    return "raised"


@attack("be spared when memory runs out")
def be_spared(targets, name):
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("-1000")
    return "spared"


@attack("become another user")
def become(targets, name):
    os.setgroups([])
    os.setuid(12345)
    return os.getuid()


@attack("gain privileges from a program")
def gain(targets, name):
    status = read("/proc/self/status").decode()
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if facts["NoNewPrivs"] == "1" and not any(
        int(facts[each], 16) for each in ("CapPrm", "CapEff", "CapBnd", "CapAmb")
    ):
        return None
    return {key: facts[key] for key in ("NoNewPrivs", "CapPrm", "CapEff", "CapBnd", "CapAmb")}


@attack("write elsewhere")
def write_elsewhere(targets, name):
    """Return the folders, two levels deep, in which a file can be made."""
    folders = ["/", *glob.glob("/*"), *glob.glob("/*/*"), *glob.glob("/proc/sys/*/*"), *glob.glob("/dev/*/*")]
    found = []
    for each in folders:
        path = f"{each.rstrip('/')}/.attack"
        if each.startswith(("/proc/", "/tmp/")) or not os.path.isdir(each) or os.path.islink(each):
            continue
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
            os.unlink(path)
            found.append(each)
        except OSError:
            continue
    return [each for each in found if each not in ("/tmp", "/pfs/out", "/dev/shm", "/dev/mqueue")]


@attack("type on the server's terminal")
def type_on_terminal(targets, name):
    for path in ("/dev/tty", "/dev/console", *glob.glob("/dev/pts/[0-9]*")):
        try:
            with open(path, "wb") as terminal:
                fcntl.ioctl(terminal, _TIOCSTI, b"x")
                return path
        except OSError:
            continue
    return None


def _check(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def try_out(name, targets):
    """Try one attack in a process of its own; return what it got, and why not."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        answer = [None, "nothing was found"]
        try:
            os.setsid()
            got = ATTACKS[name](targets, name)
            if got:
                answer = [repr(got), ""]
        except BaseException as problem:
            answer = [None, f"{type(problem).__name__}: {problem}"]
        os.write(sink, json.dumps(answer).encode())
        os._exit(0)
    os.close(sink)
    with os.fdopen(source, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said or b'[null, "it was ended"]')


def main():
    """Try them all, or those that are named."""
    with open(sys.argv[1]) as file:
        targets = json.load(file)
    for name in sys.argv[2:] or ATTACKS:
        got, why = try_out(name, targets)
        print(json.dumps({"attack": name, "got": got, "why": why}), flush=True)


if __name__ == "__main__":
    main()
