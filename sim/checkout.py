"""``python -m tsp.sim.checkout``: make the checkout known to editors and type checkers.

What ``pip install --editable`` writes maps ``tsp.hw`` and ``tsp.sim`` to their folders in a hook,
which Python runs and no tool that only reads files can follow. So beside it stands a package
``tsp``: links to the two folders for those that read, and for Python, which goes by ``__path__``,
the checkout itself, so that tracebacks and breakpoints name the files that are edited.
"""

import sysconfig
from pathlib import Path

from tsp.sim import files

ROOT = Path(__file__).resolve().parents[1]
NAME = "tsp_checkout"

_PACKAGE = '''\
"""The packages of a checkout; `make` writes this."""

__path__ = [{root!r}]
'''


def link(site: Path, root: Path = ROOT) -> Path:
    """Put the package into a folder of `site`, and that on the path of Python and of type checkers.

    Parameters
    ----------
    site : Path
        A site-packages directory.
    root : Path
        The checkout, which holds ``hw`` and ``sim``.

    Returns
    -------
    Path
        The folder of the package.
    """
    package = site / NAME / "tsp"
    files.write(package / "__init__.py", _PACKAGE.format(root=str(root)))
    for name in ("hw", "sim"):
        (package / name).unlink(missing_ok=True)
        (package / name).symlink_to(root / name, target_is_directory=True)
    # Not the packages in `site` itself: what installs a wheel there would write through the links.
    files.write(site / f"{NAME}.pth", f"{package.parent}\n")
    return package


if __name__ == "__main__":
    if not (ROOT / "pyproject.toml").exists():
        raise SystemExit(f"{ROOT} is not a checkout of tsp; an installed wheel needs no links")
    link(Path(sysconfig.get_path("purelib")))
