"""Debian's Chromium, headless, which looks at a page of a view as a person does.

Tests, the benchmark and the figures of the docs use it; playwright is there for developers only.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tsp.hw.errors import InputError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""The browser, or None if there is none."""

_PATIENCE = 120_000  # milliseconds, on a machine that is busy with other things


@contextmanager
def browser() -> Iterator[Any]:
    """A browser of playwright's, driving the Chromium that is installed.

    Raises
    ------
    InputError
        If Chromium or playwright is not there.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise InputError("playwright is not there; install tsp with its extra `dev`") from None
    if CHROMIUM is None:
        raise InputError("Chromium is not there; `make install-chromium` installs it, as root")
    with sync_playwright() as playwright:
        # Its sandbox needs rights that root in a container has not; the pages are our own.
        arguments = ["--no-sandbox", "--disable-gpu", "--force-color-profile=srgb"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        try:
            yield opened
        finally:
            opened.close()


def open_view(opened: Any, path: Path, fragment: str = "", **options: Any) -> tuple[Any, list[str]]:
    """A page that shows the view in file `path`, and the errors that it says while it lives.

    Parameters
    ----------
    opened : playwright.sync_api.Browser
    path : Path
    fragment : str
        Of its address, with the ``#``: what is in sight and selected.
    options
        Of the page, such as ``color_scheme``; its viewport is 1400 x 860 pixels unless given.

    Returns
    -------
    playwright.sync_api.Page, list of str
    """
    page = opened.new_page(**{"viewport": {"width": 1400, "height": 860}, **options})
    page.set_default_timeout(_PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: said.type == "error" and errors.append(said.text))
    page.goto(f"{path.absolute().as_uri()}{fragment}")
    page.wait_for_function("window.tsp")
    page.evaluate("tsp.settled()")
    return page, errors
