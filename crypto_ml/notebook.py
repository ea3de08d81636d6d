"""Execute a notebook and keep the result: `python -m crypto_ml.notebook SOURCE RESULT`.

Read next: ../notebooks/crypto.ipynb.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError


def main() -> int:
    """Execute; say where the result is, or which cell failed and why; return the exit status."""
    source, result = map(Path, sys.argv[1:])
    notebook = nbformat.read(source, as_version=4)
    try:
        execute(notebook)
    except CellExecutionError as error:
        print(f"{source}: a cell failed: {error.ename}: {error.evalue.strip()}", file=sys.stderr)
        print("  next: `make run`, then `pachctl connect 127.0.0.1:30650`", file=sys.stderr)
        return 1
    result.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, result)
    print(f"{source} executed; the result is {result}")
    return 0


def execute(notebook: nbformat.NotebookNode) -> None:
    """Execute all cells; the kernel is asked through sockets in a folder that no other user of the machine reads."""
    with tempfile.TemporaryDirectory() as sockets:
        kernel = AsyncKernelManager(transport="ipc", ip=f"{sockets}/kernel")
        try:
            NotebookClient(notebook, timeout=600, km=kernel).execute(cwd=str(Path.cwd()))
        finally:
            asyncio.run(kernel.shutdown_kernel(now=True))


if __name__ == "__main__":
    sys.exit(main())
