"""A line between one sekisho and PostgreSQL that a test cuts or stalls, as a network does."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit, urlunsplit


class Line:
    """A context manager; `url` is the address of the same database by way of the line."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._target = (place.hostname or "", place.port or 5432)
        self._door = socket.create_server(("127.0.0.1", 0))
        login, _, _ = place.netloc.rpartition("@")
        port = self._door.getsockname()[1]
        self.url = urlunsplit(place._replace(netloc=f"{login}@127.0.0.1:{port}"))
        self._passes = threading.Event()
        self._passes.set()
        self._is_cut = False
        self._ends: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Line:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, _k: type[BaseException] | None, _e: BaseException | None, _t: TracebackType | None) -> None:
        self.cut()
        self._passes.set()
        self._door.close()

    def cut(self) -> None:
        """Every connection breaks, and each new one."""
        with self._lock:
            self._is_cut = True
            for end in self._ends:
                _close(end)
            self._ends.clear()

    def stall(self) -> None:
        """Nothing passes, and nobody is told."""
        self._passes.clear()

    def mend(self) -> None:
        """All is well again; what was held up arrives."""
        with self._lock:
            self._is_cut = False
        self._passes.set()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._door.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        self._passes.wait()
        try:
            far = socket.create_connection(self._target, timeout=10)
        except OSError:
            _close(near)
            return
        far.settimeout(None)
        with self._lock:
            if self._is_cut:
                _close(near)
                _close(far)
                return
            self._ends |= {near, far}
        for one, other in ((near, far), (far, near)):
            threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := one.recv(65536):
                self._passes.wait()
                other.sendall(piece)
        with self._lock:
            self._ends -= {one, other}
        _close(one)
        _close(other)


def _close(end: socket.socket) -> None:
    """Wakes whoever reads from it, too."""
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
