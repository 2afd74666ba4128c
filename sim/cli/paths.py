"""The types of options and arguments that name files and folders."""

import click

from tsp.hw.errors import InputError
from tsp.sim import files

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
