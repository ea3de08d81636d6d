"""Deliver letters as mails by SMTP.

The way is encrypted where the server offers it (STARTTLS, or TLS from the start at port 465), and a password is never
sent over a way that is not, except on this machine. A mail's Message-ID is made from the job set: should one be sent
twice because the first was accepted and then the answer lost, mail programs show it once.

Read next: channels.py.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate

from pachlet.errors import Usage
from pachlet.notify.channels import TIMEOUT, NotDelivered
from pachlet.notify.letter import Letter

_TLS_PORT = 465
_LOCAL = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Mail:
    """A mail server, and who writes to whom."""

    host: str
    port: int
    sender: str
    recipients: Sequence[str]
    user: str = ""
    password: str = ""

    name = "mail"

    def __post_init__(self) -> None:
        for address in (self.sender, *self.recipients):
            if "@" not in address or any(char.isspace() or char in ",;<>" for char in address):
                raise Usage(f"{address!r} is no mail address", hint="write it like ann@example.org")

    def send(self, letter: Letter) -> None:
        """Send one mail to all recipients; all must be accepted."""
        message = self._message(letter)
        try:
            with self._connect() as server:
                if self.user:
                    server.login(self.user, self.password)
                refused = server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            raise NotDelivered(f"mail by {self.host}:{self.port}: {_reason(error)}") from None
        if refused:
            raise NotDelivered(f"mail by {self.host}:{self.port}: refused for {', '.join(sorted(refused))}")

    def _connect(self) -> smtplib.SMTP:
        context = ssl.create_default_context()
        if self.port == _TLS_PORT:
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        try:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=context)
                server.ehlo()
            elif self.user and self.host not in _LOCAL:
                raise NotDelivered(
                    f"mail by {self.host}:{self.port}: it offers no encryption, so the password is not sent"
                )
        except BaseException:
            server.close()
            raise
        return server

    def _message(self, letter: Letter) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = letter.subject
        message["From"] = self.sender
        message["To"] = ", ".join(self.recipients)
        message["Date"] = formatdate()
        message["Message-ID"] = f"<{letter.id}.pachlet@{self.sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        return message


def _reason(error: Exception) -> str:
    """Return what a mail server, or the way there, had to say."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return "refused for " + ", ".join(
            f"{who} ({code} {said.decode(errors='replace')})"
            for who, (code, said) in error.recipients.items()
        )
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {said.decode(errors='replace') if isinstance(said, bytes) else said}"
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
