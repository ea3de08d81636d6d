"""One run of the program: its streams, its environment and its connection.

Verbs get everything from here, so that tests run them with streams of their own. The connection is made when
a verb first asks for it; most mistakes in a command are found before that.

Read next: flags.py, output.py.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property
from typing import IO, TYPE_CHECKING, TextIO

from pachlet.errors import PachletError

if TYPE_CHECKING:
    from pachlet.cli.progress import Progress
    from pachlet.client.connection import Connection


def _standard_input() -> IO[bytes]:
    """Return standard input without a buffer: a thread may still be reading it when Ctrl-C ends the program,
    and the interpreter does not survive a buffer that is in use at its end."""
    return open(0, "rb", buffering=0, closefd=False)


class Session:
    """What a verb may touch."""

    project_flag: str = ""
    verbose: bool = False
    rpc_timeout: float = 0.0
    """Seconds after which any call is given up; 0 means never."""
    plain: bool = False
    """No colours and no live display, whatever the streams are."""
    events: bool = False
    """Progress as lines of JSON."""

    def __init__(
        self,
        environ: Mapping[str, str],
        out: TextIO | None = None,
        err: TextIO | None = None,
        input: IO[bytes] | None = None,
        program: str = "pachctl",
    ) -> None:
        """Without streams of its own it has the process's."""
        self.environ = environ
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self.input = _standard_input() if input is None else input
        self.program = program

    @cached_property
    def connection(self) -> Connection:
        from pachlet.client.context import resolve

        return self.telling(
            resolve(self.environ).connect(project=self.project_flag, timeout=self.rpc_timeout or None)
        )

    def telling(self, connection: Connection) -> Connection:
        """Have a connection's warnings shown, and that a server lets one wait; return the connection."""
        connection.on_warning = lambda text: self.say(f"warning: {text}")
        connection.while_calling = lambda: self.progress.calling(str(connection.address))
        return connection

    @cached_property
    def progress(self) -> Progress:
        """The one display of this run, on stderr; live only on a terminal."""
        if self.events:
            from pachlet.cli.events import Events

            return Events(self.err)
        from pachlet.cli.progress import Progress

        live = self.err.isatty() and not self.plain and self.environ.get("TERM") != "dumb"
        return Progress(self.err, live=live, colour=live and self.colour)

    @property
    def colour(self) -> bool:
        return self.out.isatty() and not self.plain and not self.environ.get("NO_COLOR")

    @property
    def talkative(self) -> bool:
        """Whether to say what was done where pachctl says nothing."""
        return self.verbose or self.out.isatty()

    def print(self, text: str = "") -> None:
        """Write a line of the verb's result."""
        self.out.write(text + "\n")

    def say(self, text: str) -> None:
        """Write a line about what is happening, which is no part of the result."""
        self.err.write(text + "\n")
        self.err.flush()

    def tell_staged(self) -> None:
        """Say that what was asked for waits in a transaction, if it does."""
        made = self.__dict__.get("connection")
        if made is not None and made.staged and made.transaction:  # a verb's own is over by now
            self.say(f"Added to transaction: {made.transaction}")

    def confirm(self, question: str) -> bool:
        """Ask on stderr, read the answer from the input (so `yes |` works); no answer is a no."""
        self.err.write(f"{question} [y/N] ")
        self.err.flush()
        try:
            answer = self.input.readline().decode(errors="replace").strip().lower()
        except OSError:  # closed by whoever started us
            return False
        return answer in ("y", "yes")

    def read_text(self, source: str) -> str:
        """Return the text of a file, of the input ("-") or of a URL."""
        try:
            return self.read_bytes(source).decode()
        except UnicodeDecodeError:
            raise PachletError(f"{source} is not text in UTF-8") from None

    def read_bytes(self, source: str) -> bytes:
        """Return what a file, the input ("-") or a URL holds."""
        try:
            if source == "-":
                return self.input.read()
            if source.startswith(("http://", "https://")):
                import urllib.request

                with urllib.request.urlopen(source) as answer:
                    content: bytes = answer.read()
                    return content
            with open(source, "rb") as stream:
                return stream.read()
        except (OSError, ValueError) as error:  # the latter for a name with a zero byte, or a bad URL
            why = getattr(error, "reason", error)  # which a URL's error only wraps
            reason = getattr(why, "strerror", None) or why
            raise PachletError(
                f"cannot read {source!r}: {reason}" if "\x00" in source else f"cannot read {source}: {reason}"
            ) from None

    def close(self) -> None:
        """Let go of what was opened."""
        if "progress" in self.__dict__:
            self.progress.close()
        if "connection" in self.__dict__:
            self.connection.close()
