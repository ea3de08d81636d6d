"""A server in a process of its own, and commands against it timed as a user types them.

Read next: put_get.py, comparing.py.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.process_tree import peak_of_process

ROOT = Path(__file__).parent.parent
MIB = 1 << 20
_MOST_WARM = 2 << 30


@dataclass(frozen=True)
class Serving:
    """A running server."""

    address: str
    process: int
    data_dir: Path

    def pachctl(self, *words: str | Path) -> None:
        """Run a command, process start included; whatever it says is thrown away."""
        environ = {
            **os.environ,
            "PACHD_ADDRESS": self.address,
            "PACH_CONFIG": str(self.data_dir / "client.json"),
        }
        program = Path(sys.executable).with_name("pachctl")
        subprocess.run([program, *words], check=True, stdout=subprocess.DEVNULL, env=environ)

    @property
    def peak(self) -> float:
        """The most memory that it ever had, in MiB."""
        return peak_of_process(self.process) / MIB

    @property
    def stored(self) -> int:
        """The bytes of everything that it keeps."""
        return sum(each.stat().st_size for each in self.data_dir.rglob("*") if each.is_file())


@contextlib.contextmanager
def serving(data_dir: Path, code: Path = ROOT) -> Iterator[Serving]:
    """Serve an empty data directory during the block, with the images of a code folder."""
    data_dir.mkdir(parents=True)
    program = Path(sys.executable).with_name("pachlet")
    told = data_dir / "address"
    words = [program, "serve", "--data-dir", data_dir, "--port", "0", "--code", code, "--address-file", told]
    with started([str(word) for word in words], told) as (address, process):
        yield Serving(address, process, data_dir)


@contextlib.contextmanager
def started(words: list[str], told: Path) -> Iterator[tuple[str, int]]:
    """Run a process that writes its address to a file; yield the address and the process."""
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not (told.exists() and told.read_text().endswith("\n")):
                if process.poll() is not None:
                    raise SystemExit(process.stderr.read() if process.stderr else "it did not start")
                time.sleep(0.02)
            yield told.read_text().strip(), process.pid
        finally:
            process.terminate()


def price_folder(data: Path) -> Path:
    """Return the folder of price files in a folder of data, which may be that folder itself."""
    return next((each for each in (data / "crypto" / "raw", data / "raw") if each.is_dir()), data).absolute()


def load() -> str:
    """Say how much else the machine has to do."""
    return "load {:.1f}, {:.1f}, {:.1f} over 1, 5 and 15 minutes".format(*os.getloadavg())


def timed(act: Callable[[], object]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def warm(place: Path, source: Path) -> None:
    """Have everything written, and then as much memory given back as a file takes.

    In a virtual machine memory that nobody used for some seconds is the host's. Having it again takes longer than
    copying the file, and falls to whoever comes first after a pause, such as a command that is timed.
    """
    settle(place)
    block = bytes(MIB)
    with tempfile.TemporaryFile(dir=place) as out:
        for _ in range(min(source.stat().st_size, _MOST_WARM) // MIB):
            out.write(block)


def settle(place: Path) -> None:
    """Have everything that waits for the disk written, so that nobody pays for what came before."""
    subprocess.run(["sync", "-f", place], check=True)
