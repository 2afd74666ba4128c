"""Files named by users: read as a whole; written beside their place and renamed into it.

A written file is the old one or the new one, never half of one, however the process ends.
Anything but a regular file, such as ``/dev/stdout`` or a pipe, is written directly. Missing folders
are made. Every refusal names the path.
"""

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tsp.hw.errors import InputError

_STREAMS = ("/dev/", "/proc/")
"""Folders with names of open files, which may lead to a file that another process holds."""


def write(path: str | Path, content: str | bytes) -> None:
    """Write a file as a whole, text in UTF-8.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """A file to fill; it takes its place at the end, or is removed if the end is not reached.

    Raises
    ------
    InputError
        If it cannot be written, or not to its end.
    """
    if is_stream(path):
        with _refused(path), open(path, "wb") as file:
            yield file
        return
    with beside(path) as scratch, _refused(path), open(scratch, "xb") as file:
        yield file


@contextlib.contextmanager
def beside(path: str | Path) -> Iterator[Path]:
    """A path to write to, with the suffix of `path`, whose place it takes at the end.

    If nothing was written there, nothing changes.

    Raises
    ------
    InputError
        If it cannot be written, or is a stream, which cannot be replaced.
    """
    check_writable(path)
    if is_stream(path):
        raise InputError(f"{path} is a stream; name a file")
    place = Path(os.path.realpath(path))  # a link goes on pointing to it
    scratch = place.with_name(f".{place.stem[:100]}.{secrets.token_hex(4)}{place.suffix}")
    with _refused(path):
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield scratch
            if scratch.exists():
                if place.exists():
                    scratch.chmod(stat.S_IMODE(place.stat().st_mode))
                scratch.replace(place)
        finally:
            scratch.unlink(missing_ok=True)


@contextlib.contextmanager
def _refused(path):
    """Turn an error of the system into a refusal that names the path."""
    try:
        yield
    except BrokenPipeError:
        raise  # the reader has what it wants
    except OSError as error:
        raise InputError(f"{path} cannot be written: {_reason(error)}") from error


def check_writable(path: str | Path) -> None:
    """Refuse a file that cannot be written, before anything is computed for it.

    Raises
    ------
    InputError
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it")
    if path.exists() and not os.access(path, os.W_OK):
        raise InputError(f"{path} cannot be written; choose another place")
    if is_stream(path):
        return
    folder = Path(os.path.realpath(path)).parent
    while not os.path.lexists(folder):  # it is made, in the first of those above that exists
        folder = folder.parent
    if not folder.is_dir():
        raise InputError(
            f"{path} cannot be written: {folder} is not a folder; choose another place"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path} cannot be written in {folder}; choose another place")


def is_stream(path: str | Path) -> bool:
    """Whether a path is a device, a pipe or another open file, which cannot be replaced."""
    if os.path.abspath(path).startswith(_STREAMS):
        return True
    return os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode)


def is_stdout(path: str | Path) -> bool:
    """Whether a path is this process's standard output, so that nothing else may go there."""
    if not is_stream(path):
        return False
    with contextlib.suppress(OSError):
        return os.path.samestat(os.stat(path), os.fstat(1))
    return False


def read(path: str | Path) -> bytes:
    """The whole of a file, which may be a pipe.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {_reason(error)}") from error


def read_text(path: str | Path) -> str:
    """The whole of a UTF-8 text, with or without a byte-order mark, with any line endings.

    Raises
    ------
    InputError
        If it cannot be read or is not a text.
    """
    return decoded(read(path), path)


def decoded(data: bytes, path: str | Path) -> str:
    """The text in `data`; `path`, where it comes from, is named in a refusal.

    Raises
    ------
    InputError
        If it is not UTF-8 text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: byte {error.start} is {data[error.start]:#04x}"
        ) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _reason(error):
    """The system's description of an error, without number and path."""
    return error.strerror or str(error)
