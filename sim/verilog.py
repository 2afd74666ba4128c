"""The core as Verilog for a user's design, in which its module names must not clash."""

from tsp.hw.config import Config
from tsp.hw.export import prefixed, uninitialised
from tsp.sim.backends import build


def default_prefix(config: Config) -> str:
    """The default prefix of all module names, which differs between configurations."""
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
    """The Verilog of the core of `config`, taken from the cache if possible.

    Parameters
    ----------
    config : Config
    form : {"loops", "instances"}
        "loops" for simulators; "instances" for synthesis.
    prefix : str, optional
        Prefix of all module names, followed by an underscore; by default ``tsp_`` and the name of
        the configuration. The top module is ``PREFIX_chip``.
    initial_values : bool
        Registers start with their reset values, and memories with 0. Without them, as for a chip,
        the core must be reset, and memory is unknown until it is written.

    Returns
    -------
    str

    Raises
    ------
    InputError
        If `prefix` is not a Verilog name.
    """
    prefix = default_prefix(config) if prefix is None else prefix
    prefixed("", prefix)  # refuses what is no name, before the export, which takes long
    text, _ = build.export(config, form, keep=False)
    text = prefixed(text, prefix)
    return text if initial_values else uninitialised(text)
