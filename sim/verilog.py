"""The core as Verilog for a design of one's own, in which its names must be free."""

from tsp.hw.config import Config
from tsp.hw.export import prefixed, uninitialised
from tsp.sim.backends import build


def default_prefix(config: Config) -> str:
    """What the names of all modules begin with: cores of other configurations have another."""
    return f"tsp_{config.name}"


def top(prefix: str) -> str:
    """The name of the top module in Verilog with that `prefix`."""
    return f"{prefix}_chip"


def verilog(
    config: Config,
    form: str = "loops",
    *,
    prefix: str | None = None,
    initial_values: bool = True,
) -> str:
    """Verilog of the core of `config`, which needs no cache but takes it from there if it can.

    Parameters
    ----------
    config : Config
    form : {"loops", "instances"}
        "loops" for simulators; "instances" for synthesis.
    prefix : str, optional
        What the names of all modules begin with, before an underscore; by default ``tsp_`` and
        the name of the configuration. The top module is ``PREFIX_chip``.
    initial_values : bool
        Registers have the value of their reset from the start, and memories are 0. Without, as for
        chips, the core is to be reset, and memory is unknown until it is written.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If `prefix` is no name of Verilog.
    """
    prefix = default_prefix(config) if prefix is None else prefix
    prefixed("", prefix)  # refuses what is no name, before the export, which takes long
    text, _ = build.export(config, form, keep=False)
    text = prefixed(text, prefix)
    return text if initial_values else uninitialised(text)
