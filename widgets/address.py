"""Address: where the page is, and who may see it."""

import contextlib
import ipaddress
import socket
from dataclasses import dataclass, field, replace

from studio.errors import SettingsError

PORT = 5006
TRIES = 100
"""Ports that are tried one after the other."""


@dataclass(frozen=True)
class Address:
    """Where the page is, and who may see it.

    Args:
        host: Address to listen on.
        port: The port, or the first to try.
        password: What visitors have to give; needed when others than this machine can reach the page.
    """

    host: str = "127.0.0.1"
    port: int = PORT
    password: str | None = field(default=None, repr=False)

    @property
    def local(self) -> bool:
        """Only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def url(self) -> str:
        """What to type into a browser."""
        host = "localhost" if self.local and ":" not in self.host else f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def origins(self) -> list[str]:
        """Names under which browsers may ask for live data."""
        if self.host in ("0.0.0.0", "::"):
            return ["*"]
        names = {"localhost", "127.0.0.1"} if self.local else {self.host, socket.gethostname()}
        return [f"{name}:{self.port}" for name in sorted(names)]

    def free(self) -> "Address":
        """This address, or the next port that nobody listens on.

        Raises:
            SettingsError: None of the next hundred is free, or the host is not an address of this machine.
        """
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        for port in range(self.port, min(self.port + TRIES, 65536)):
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                with contextlib.suppress(OSError):
                    probe.bind((self.host, port))
                    return replace(self, port=port)
        last = self.port + TRIES - 1
        raise SettingsError(f"No port from {self.port} to {last} is free on {self.host}. Choose another --port, and check that --host is this machine.")
