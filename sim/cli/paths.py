"""The types of options and arguments that name files, and the programs in them."""

import click

from tsp.hw.errors import InputError
from tsp.sim import asm, binary, files

FILE = click.Path(exists=True, dir_okay=False)
"""A file to read, or a pipe."""


def _writable(_context, _option, path):
    """Refuse a file that cannot be written, before anything is computed."""
    if path is not None:
        try:
            files.check_writable(path)
        except InputError as error:
            raise click.BadParameter(str(error)) from error
    return path


WRITTEN = {"type": click.Path(dir_okay=False), "callback": _writable}
"""The settings of an option that names a file to write."""


def load_program(path, checked=True):
    """The :class:`~tsp.sim.program.Program` in a file, text or binary.

    With `checked` false only programs that no back end can load are refused.

    Raises
    ------
    InputError
        If it is neither; the message names the path.
    """
    data = files.read(path)
    if data.startswith(binary.MAGIC):
        return binary.from_binary(data, checked)
    try:
        text = files.decoded(data, path)
    except InputError:
        raise InputError(
            f"{path} is not a program: neither UTF-8 text nor the output of `tsp asm`"
        ) from None
    return asm.parse_program(text, checked)
