"""Pictures of views for README and docs: ``python -m tsp.sim.view.shots`` makes them anew."""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tsp.hw.config import preset
from tsp.hw.isa import DType
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.common import Kernel
from tsp.sim.kernels.ffn import ffn
from tsp.sim.kernels.matmul import matmul
from tsp.sim.view import view_data, write_page
from tsp.sim.view.browser import browser, open_view

PICTURES = Path(__file__).parents[2] / "docs" / "views"


@dataclass(frozen=True)
class Shot:
    """A picture of a view.

    Members
    -------
    name : str
        Of its files, ``NAME-light.png`` and ``NAME-dark.png``.
    kernel : callable
        Makes what is shown.
    steps : tuple of str
        JavaScript that brings the page where the picture is taken.
    width, height : int
        Of the page, in pixels.
    ideal : int, optional
        Cycles that the work needs at least; default: those of its multiply-accumulates.
    """

    name: str
    kernel: Callable[[], Kernel]
    steps: tuple[str, ...]
    width: int = 1280
    height: int = 800
    ideal: int | None = None


def _fp16(rng, *shape):
    return rng.normal(size=shape).astype(np.float16)


def _matmul():
    rng = np.random.default_rng(1)
    return matmul(preset("small"), _fp16(rng, 64, 64), _fp16(rng, 64, 64), DType.FP32)


def _attention():
    """That of README's table: 2 heads of 64, sequence 64, causal."""
    rng = np.random.default_rng(1)
    q, k, v = (_fp16(rng, 64, 2, 64) for _ in range(3))
    return attention(preset("small"), q, k, v, causal=True)


def _step():
    """One token of a feed-forward layer, as a decode step has it."""
    rng = np.random.default_rng(1)
    shapes = {"up": (576, 1536), "down": (1536, 576), "gate": (576, 1536)}
    weights = {name: rng.integers(-128, 128, s).astype(np.int8) for name, s in shapes.items()}
    scales = {name: np.full(s[1], 2**-10, np.float32) for name, s in shapes.items()}
    return ffn(preset("duo32"), _fp16(rng, 1, 576), **weights, scales=scales)


SHOTS = (
    Shot(
        "attention",
        _attention,
        ("tsp.app.show('glance')",),
    ),
    Shot(
        "matmul",
        _matmul,
        (
            "tsp.app.foldKind('operations')",
            "tsp.goto({from: 44, to: 108, queue: 'MXM_W.0.IW', cycle: 72})",
        ),
    ),
    Shot("causal", _attention, ("tsp.goto({from: 900, to: 1700})", "tsp.app.show('path')")),
    Shot(
        "step",
        _step,
        (
            "tsp.app.fold(tsp.app.pane, tsp.app.pane.shown.find(r => r.label === 'plane 0'))",
            "tsp.app.show('path')",
        ),
        ideal=3 * 576 * 1536 // (2 * 32 * 32),  # bytes of weights by those that streams carry
    ),
)
"""What is shown where."""


def take(shot: Shot, opened: Any, folder: Path) -> list[Path]:
    """The pictures of one view, in light and in dark.

    Raises
    ------
    RuntimeError
        If the page says an error.
    """
    kernel = shot.kernel()
    ideal = shot.ideal or -(-kernel.macs // kernel.program.config.macs_per_cycle)
    page_file = folder / f"{shot.name}.html"
    write_page(page_file, [view_data(kernel.program, ideal=ideal)])
    made = []
    for scheme in ("light", "dark"):
        size = {"width": shot.width, "height": shot.height}
        page, errors = open_view(opened, page_file, viewport=size, color_scheme=scheme)
        for step in shot.steps:
            page.evaluate(step)
        page.evaluate("tsp.settled()")
        page.wait_for_timeout(400)  # the floor plan and the plot come a little later
        if errors:
            raise RuntimeError(f"{shot.name}: {errors[0]}")
        made.append(PICTURES / f"{shot.name}-{scheme}.png")
        made[-1].write_bytes(_fewer_colours(page.screenshot()))
        page.close()
    return made


def _fewer_colours(png):
    """The picture in its 256 most frequent colours, which take a third of the bytes."""
    from PIL import Image  # a tool of developers, as the browser is

    picture = Image.open(io.BytesIO(png)).convert("RGB")
    counts = sorted(picture.getcolors(picture.width * picture.height), reverse=True)[:256]
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in counts for part in colour])
    made = io.BytesIO()
    picture.quantize(palette=palette, dither=Image.Dither.NONE).save(made, "PNG", optimize=True)
    return made.getvalue()


def main() -> None:
    """Take all pictures."""
    PICTURES.mkdir(exist_ok=True)
    with browser() as opened, tempfile.TemporaryDirectory() as folder:
        for shot in SHOTS:
            for path in take(shot, opened, Path(folder)):
                print(
                    f"wrote {path.relative_to(PICTURES.parents[1])}, {path.stat().st_size:,} bytes"
                )


if __name__ == "__main__":
    main()
