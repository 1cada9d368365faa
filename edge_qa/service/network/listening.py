"""The socket that a service listens on, and the token that it asks for."""

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path

from edge_qa.errors import InputError, ResourceError
from edge_qa.service.network.guard import is_loopback
from edge_qa.service.settings import Listening

_BACKLOG = 1024
_SHORTEST_TOKEN = 16


def read_token(path: Path) -> str:
    """Return the token in a file. Raises InputError for one that could be guessed or that no header can carry."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not ASCII"
        raise InputError(f"cannot be read ({reason})", where=path, remedy="write a token into it") from None
    if len(token) < _SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise InputError(
            "holds no token",
            where=path,
            wanted=f"one word of at least {_SHORTEST_TOKEN} characters",
            remedy="make one: openssl rand -hex 32",
        )
    return token


def listen(listening: Listening) -> socket.socket:
    """Return the socket, bound and listening.

    Raises InputError for an address that others can reach without a token, ResourceError if it cannot be had.
    """
    if listening.socket is not None:
        return _listen_unix(listening.socket)
    host = "127.0.0.1" if listening.host.lower() == "localhost" else listening.host
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        raise InputError(f"got {host!r}", where="host", wanted="an IP address or localhost") from None
    if not is_loopback(host) and listening.token is None:
        raise InputError(
            f"{host} can be reached from other machines",
            where="host",
            remedy="name a file with a token that clients must show (`token_file`), or listen on 127.0.0.1",
        )
    found = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, listening.port))
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise ResourceError(
            f"cannot be listened on ({error.strerror})", where=f"{host}:{listening.port}", remedy="choose another port"
        ) from None
    found.setblocking(False)
    return found


def _listen_unix(path: Path) -> socket.socket:
    _remove_stale(path)
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Its user and group may ask; who else may is decided by the folder.
    mask = os.umask(0o117)
    try:
        found.bind(os.fspath(path))
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        reason = error.strerror or str(error)
        raise ResourceError(f"cannot be listened on ({reason})", where=path, remedy="choose another path") from None
    finally:
        os.umask(mask)
    found.setblocking(False)
    return found


def _remove_stale(path: Path) -> None:
    """Take away the socket of a service that has ended. Raises ResourceError for anything else that stands there."""
    try:
        kind = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise ResourceError("is there, and is no socket", where=path, remedy="choose another path")
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(1)
        try:
            probe.connect(os.fspath(path))
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                path.unlink(missing_ok=True)
                return
        raise ResourceError("is listened on by another process", where=path, remedy="choose another path")
