"""Views of a schedule: one HTML file, which shows what every unit does in every cycle."""

from collections.abc import Callable
from pathlib import Path

from tsp.sim import files
from tsp.sim.program import Program
from tsp.sim.view.data import View, view_data
from tsp.sim.view.page import document
from tsp.sim.view.values import BUDGET

__all__ = ["BUDGET", "View", "view_data", "write_page", "write_view"]


def write_view(
    program: Program,
    path: str | Path,
    other: Program | None = None,
    *,
    with_values: bool = True,
    budget: int = BUDGET,
    progress: Callable[[int, int], object] | None = None,
) -> list[View]:
    """Write an HTML file that shows what every unit does in every cycle, and why not sooner.

    It needs no network and no server.

    Parameters
    ----------
    program : Program
    path : path
    other : Program, optional
        Shown beside it, on the same time.
    with_values : bool
        Whether to run them on the golden model, and show what every drive carried.
    budget : int
        Compressed bytes of values of each that are kept at most; later ones are left out.
    progress : callable, optional
        Called with (cycles done, cycles in all) while the golden model runs.

    Returns
    -------
    list of View
        What it shows of each program; ``until`` says from which cycle on there are no values.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    files.check_writable(path)
    programs = [program] if other is None else [program, other]
    views = [
        view_data(shown, with_values=with_values, budget=budget, progress=progress)
        for shown in programs
    ]
    write_page(path, views)
    return views


def write_page(path: str | Path, views: list[View]) -> None:
    """Write the HTML file that shows one view, or two side by side.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    title = " and ".join(f"{view.program.name} on {view.program.config.name}" for view in views)
    files.write(path, document(title, [view.payload for view in views]))
