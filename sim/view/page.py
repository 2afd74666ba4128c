"""One HTML file that shows a program, and needs nothing else: no network, no server."""

import base64
import html
from functools import cache
from pathlib import Path

from tsp.hw.errors import InputError

BUNDLE = Path(__file__).parent / "bundle"
"""What is made of sim/view/app, and shipped: app.js and app.css."""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<noscript>This page draws a schedule with JavaScript, which is switched off.</noscript>
<div id="app"></div>
{payloads}
<script>
{script}
</script>
</body>
</html>
"""


def document(title: str, payloads: list[bytes]) -> str:
    """The text of the HTML file that shows one payload, or two side by side."""
    parts = [
        f'<script type="application/octet-stream" id="tsp-view{suffix}">'
        f"{base64.b64encode(payload).decode()}</script>"
        for suffix, payload in zip(("", "-2"), payloads, strict=False)
    ]
    script, style = _bundle("app.js"), _bundle("app.css")
    return _PAGE.format(
        title=html.escape(title), style=style, payloads="\n".join(parts), script=script
    )


@cache
def _bundle(name):
    """A file of the bundle, as it may stand inside its element of a page."""
    try:
        text = (BUNDLE / name).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{BUNDLE / name} is not there, without which nothing can be shown; install tsp anew, "
            "or run `make view-app` in a checkout"
        ) from error
    return text.replace("</script", r"<\/script").replace("</style", r"<\/style")
