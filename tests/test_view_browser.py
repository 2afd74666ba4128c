"""The page of `tsp view` in a browser. Oracles: traces of the golden model, and the schedule."""

import numpy as np
import pytest

from tsp.hw.config import preset
from tsp.hw.isa import DType
from tsp.sim.bench import view
from tsp.sim.golden import model
from tsp.sim.kernels.attention import attention
from tsp.sim.kernels.linear import linear
from tsp.sim.kernels.matmul import matmul
from tsp.sim.view import write_view
from tsp.sim.view.browser import CHROMIUM, browser, open_view

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed; `make install-chromium` does it, as root"
)
NANO, SMALL, DUO = preset("nano"), preset("small"), preset("duo32")


def fp16(rng, *shape):
    return rng.normal(size=shape).astype(np.float16)


def int8(rng, *shape):
    return rng.integers(-128, 128, shape).astype(np.int8)


def causal(rng):
    shape = (32, 2, 16)
    return attention(SMALL, fp16(rng, *shape), fp16(rng, *shape), fp16(rng, *shape), causal=True)


KERNELS = {
    "nano": lambda rng: matmul(NANO, int8(rng, 6, 8), int8(rng, 8, 8), DType.INT32),
    "small": causal,
    "duo32": lambda rng: linear(DUO, fp16(rng, 1, 64), fp16(rng, 64, 64)),
}


@pytest.fixture(scope="module")
def chromium():
    """One browser for all tests."""
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module", params=KERNELS)
def shown(request, chromium, tmp_path_factory):
    """A program, every stream register of its run, and the page that shows it."""
    program = KERNELS[request.param](np.random.default_rng(5)).program
    path = tmp_path_factory.mktemp("view") / f"{request.param}.html"
    write_view(program, path)
    page, errors = open_view(chromium, path)
    yield program, model.run(program, trace=True).trace, page
    assert not errors
    page.close()


@pytest.fixture(scope="module")
def small(chromium, tmp_path_factory):
    """The file of a view of attention on `small`, and of it beside a matmul."""
    rng = np.random.default_rng(5)
    folder = tmp_path_factory.mktemp("pages")
    program = causal(rng).program
    write_view(program, folder / "one.html")
    other = matmul(SMALL, fp16(rng, 32, 32), fp16(rng, 32, 32), DType.FP32).program
    write_view(program, folder / "two.html", other, with_values=False)
    return program, folder


def stood(trace, direction, stream, stop, cycle):
    """What the golden model had in a stream register."""
    place = cycle, "EW".index(direction), stop, stream
    return trace.data[place].tolist() if trace.valid[place].all() else None


def issues(program, mnemonic):
    """Queue and cycle of all issues of an instruction."""
    return [
        (name, cycle)
        for name, runs in program.runs.items()
        for run in runs
        for cycle, instruction in run.issues()
        if instruction.mnemonic == mnemonic
    ]


def test_a_page_opens(shown):
    """It says what the program is, and shows rows."""
    program, _, page = shown
    assert page.title().startswith(program.name)
    assert f"{program.cycles:,} cycles" in page.inner_text(".toolbar")
    assert page.evaluate("tsp.issues()") == sum(r.count for rs in program.runs.values() for r in rs)
    assert page.locator(".label").count() > 10
    assert page.evaluate("tsp.frames().length") > 0


def test_the_value_under_the_pointer(shown):
    """Every lane of a word that a write takes, shown where the pointer rests."""
    program, trace, page = shown
    writes = issues(program, "write")
    for name, cycle in writes[:: max(1, len(writes) // 5)]:
        page.evaluate("tsp.app.select(tsp.app.pane, null)")
        index = page.evaluate("name => tsp.app.pane.model.queueIndex(name)", name)
        page.evaluate("unfold => tsp.goto({open: unfold})", folders(page, index))
        where = {"queue": name, "from": cycle - 20, "to": cycle + 20}
        page.evaluate("where => tsp.goto(where)", where)
        point = page.evaluate("([name, cycle]) => tsp.pointOf(name, cycle)", [name, cycle])
        page.mouse.move(point["x"], point["y"])
        page.wait_for_function(
            "document.querySelector('.panel h2')?.textContent.startsWith('write')"
        )
        lanes = [text.split("\n")[-1] for text in page.locator(".lanes li").all_inner_texts()]
        queue = program.config.floorplan.queue(name)
        (instruction,) = [
            issued for run in program.runs[name] for at, issued in run.issues() if at == cycle
        ]
        group = instruction.stream
        expected = stood(trace, group.direction, group.first, queue.stop, cycle + 1)
        hit = page.evaluate("p => tsp.hit(p.x, p.y)", point)
        assert hit["issue"]["queue"] == name
        assert hit["issue"]["cycle"] == cycle
        shown_bytes = page.evaluate("([n, c]) => tsp.valueAt(n, c, 'samples').raw", [name, cycle])
        assert shown_bytes == expected
        assert len(lanes) == program.config.vector


def folders(page, queue):
    """Keys of the rows that a queue's row is folded into."""
    return page.evaluate(
        """queue => {
          const found = [];
          const walk = (rows, above) => rows.forEach(row => {
            if (row.type === 'queue' && row.queues[0] === queue) found.push(...above);
            if (row.type !== 'stop') walk(row.children, [...above, row.key]);
          });
          walk(tsp.app.pane.rows, []);
          return found;
        }""",
        queue,
    )


def test_every_register_shows_what_the_golden_model_had(shown):
    """Words at all stops, on samples of streams and cycles: bytes where valid, else nothing."""
    program, trace, page = shown
    config, rng = program.config, np.random.default_rng(11)
    known = 0
    for _ in range(300):
        where = [
            "EW"[rng.integers(2)],
            int(rng.integers(config.streams)),
            int(rng.integers(config.floorplan.stops)),
            int(rng.integers(len(trace.data))),
        ]
        word = page.evaluate("where => tsp.wordAt(...where)", where)
        expected = stood(trace, *where)
        assert (word and word["bytes"]) == expected, where
        known += expected is not None
    assert known > 5


def test_a_word_is_followed_over_stops(shown):
    """From the instruction that takes it back to who made it, a stop a cycle, and on again."""
    program, trace, page = shown
    for name, cycle in issues(program, "abc")[:40:13]:
        page.evaluate("([n, c]) => tsp.goto({queue: n, cycle: c})", [name, cycle])
        links = page.evaluate("([n, c]) => tsp.operandsOf(n, c)", [name, cycle])
        flights = [link for link in links if link["flight"]]
        assert flights
        for link in flights:
            flight = link["flight"]
            step = 1 if flight["direction"] == "E" else -1
            start, end = flight["from"], flight["to"]
            hops = (end["stop"] - start["stop"]) * step
            assert end["cycle"] - start["cycle"] == hops > 0
            words = [
                stood(trace, flight["direction"], flight["stream"], start["stop"] + step * k, at)
                for k, at in enumerate(range(start["cycle"], end["cycle"] + 1))
            ][1:]
            assert words[0] is not None
            assert all(word == words[0] for word in words)
            made = link["other"]
            readers = page.evaluate(
                "([n, c]) => tsp.readersOf(n, c)", [made["queue"], made["cycle"]]
            )
            assert (name, cycle) in {(r["other"]["queue"], r["other"]["cycle"]) for r in readers}
    page.evaluate("([n, c]) => tsp.goto({queue: n, cycle: c})", [name, cycle])
    button = page.locator(".panel .links .follow").first
    target = flights[0]["other"]["text"]
    button.click()
    assert page.evaluate("tsp.selected().text").startswith(target)


def test_the_critical_path_adds_up(shown):
    """Its steps, and the table of what they waited for, are the cycles of the program."""
    program, _, page = shown
    path = page.evaluate("tsp.path()")
    assert sum(step["to"] - step["from"] for step in path["steps"]) == program.cycles
    assert sum(path["kinds"].values()) == program.cycles
    page.keyboard.press("2")
    assert page.inner_text("#path-sum") == f"{program.cycles:,}"
    page.keyboard.press("1")


def test_every_operation_says_why_it_is_not_sooner(shown):
    """A sentence, and a way to the operation that it waits for."""
    _, _, page = shown
    count = page.evaluate("tsp.app.pane.model.operations")
    for op in range(0, count, max(1, count // 20)):
        reason = page.evaluate("op => tsp.reason(op)", op)
        assert reason["sentence"].endswith((".", "”."))
        page.evaluate("op => tsp.select({type: 'operation', op})", op)
        assert page.inner_text(".why") == reason["sentence"]
        if reason["holder"] >= 0:
            page.locator(".holder").click()
            assert page.evaluate("tsp.selected().op") == reason["holder"]


def test_keys_alone_go_everywhere(small, chromium):
    """Rows, instructions, operands, operations and their holders; zoom, pan, search."""
    _, folder = small
    page, errors = open_view(chromium, folder / "one.html")
    press = page.keyboard.press
    press("Tab")
    page.evaluate("tsp.app.current.canvas.focus()")
    before = page.evaluate("[tsp.app.view.from, tsp.app.view.to]")
    press("+")
    press("ArrowRight")
    near = page.evaluate("[tsp.app.view.from, tsp.app.view.to]")
    assert near[1] - near[0] < before[1] - before[0]
    press("/")
    page.keyboard.type("MXM_W.0.ABC")
    press("Enter")
    assert page.evaluate("tsp.selected().text").startswith("abc")
    assert "of" in page.inner_text(".count")
    press("Escape")
    first = page.evaluate("tsp.selected().text")
    press("]")
    assert page.evaluate("tsp.selected().text") != first
    press("[")
    assert page.evaluate("tsp.selected().text") == first
    press("p")
    assert page.evaluate("tsp.selected().text").startswith("read")
    press("r")
    assert page.evaluate("tsp.selected().text").startswith("abc")
    press("o")
    assert page.evaluate("tsp.selected().type") == "operation"
    op = page.evaluate("tsp.selected().op")
    holder = page.evaluate("op => tsp.reason(op).holder", op)
    press("h")
    assert page.evaluate("tsp.selected().op") == (holder if holder >= 0 else op)
    press("m")
    press(".")
    press(".")
    assert page.evaluate("tsp.app.cursor - tsp.app.mark") == 2
    press("0")
    assert page.evaluate("[tsp.app.view.from, tsp.app.view.to]") == before
    dark = page.evaluate("tsp.app.theme.dark")
    press("t")
    assert page.evaluate("tsp.app.theme.dark") != dark
    press("?")
    assert page.locator("dialog.help").is_visible()
    press("Escape")
    press("Escape")
    assert page.evaluate("tsp.selected()") is None
    assert not errors


def test_wheel_drag_and_click(small, chromium):
    """The wheel zooms about the pointer, a drag pans, a click on a name unfolds."""
    _, folder = small
    page, errors = open_view(chromium, folder / "one.html")
    view = "[tsp.app.view.from, tsp.app.view.to]"
    page.mouse.move(700, 400)
    under = page.evaluate("tsp.hit(700, 400).cycle")
    page.mouse.wheel(0, -600)
    page.wait_for_function("tsp.app.view.to - tsp.app.view.from < tsp.app.view.all * 0.9")
    assert page.evaluate("tsp.hit(700, 400).cycle") == pytest.approx(under, abs=0.5)
    left, right = page.evaluate(view)
    page.mouse.down()
    page.mouse.move(600, 400, steps=4)
    page.mouse.up()
    moved = page.evaluate(view)
    assert moved[0] > left
    assert moved[1] - moved[0] == pytest.approx(right - left)
    rows = page.locator(".label").count()
    page.locator(".label", has_text="VXM").first.click()
    page.wait_for_function("n => document.querySelectorAll('.label').length != n", arg=rows)
    assert page.locator('.label[aria-expanded="true"]', has_text="VXM").count() == 1
    assert not errors


def test_an_address_brings_back_what_was_seen(small, chromium):
    """Cycles, selection, cursor and open rows are in the page's fragment."""
    _, folder = small
    page, errors = open_view(chromium, folder / "one.html")
    page.evaluate("tsp.goto({from: 50, to: 150, open: ['c11', 's3']})")
    page.evaluate("tsp.select({type: 'operation', op: 1})")
    fragment = page.evaluate("tsp.hash()")
    again, more = open_view(chromium, folder / "one.html", f"#{fragment}")
    assert again.evaluate("tsp.hash()") == fragment
    assert again.evaluate("tsp.selected().op") == 1
    assert not errors + more


def test_two_programs_share_their_time(small, chromium):
    """Stacked, linked, and a table of what became longer."""
    program, folder = small
    page, errors = open_view(chromium, folder / "two.html")
    assert page.locator(".pane canvas").count() == 2
    other = page.evaluate("tsp.header(1).cycles")
    text = page.inner_text(".panel-body")
    assert f"{program.cycles:,}" in text
    assert f"{other - program.cycles:,}" in text
    before = page.evaluate("tsp.app.timelines.map(t => t.cycleAt(300))")
    page.keyboard.press("+")
    after = page.evaluate("tsp.app.timelines.map(t => t.cycleAt(300))")
    assert after[0] == after[1] != before[0] == before[1]
    assert not errors


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(small, chromium, scheme):
    """Nothing sticks out at the side; the colours are those that the phone asks for."""
    _, folder = small
    phone = {"viewport": {"width": 390, "height": 780}, "has_touch": True, "color_scheme": scheme}
    page, errors = open_view(chromium, folder / "one.html", **phone)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.evaluate("tsp.app.theme.dark") == (scheme == "dark")
    page.touchscreen.tap(250, 470)
    assert page.evaluate("tsp.app.cursor") is not None
    assert not errors


def test_screen_readers_get_a_table(small, chromium):
    """The summary is tables with captions, and rows are a tree."""
    program, folder = small
    page, errors = open_view(chromium, folder / "one.html")
    page.keyboard.press("3")
    captions = page.locator(".panel table caption").all_inner_texts()
    assert any("plane" in caption for caption in captions)
    busy = page.locator(".panel table", has_text="Cycles of every plane").locator("tr").nth(1)
    numbers = [cell.replace(",", "") for cell in busy.locator("td").all_inner_texts()]
    counts = [
        sum(run.count for run in runs)
        for name, runs in program.runs.items()
        if name.endswith("ABC")
    ]
    assert [int(n) for n in numbers] == counts
    assert page.locator('[role="tree"] [role="treeitem"]').count() > 10
    assert page.locator("canvas[aria-label]").count() == 1
    assert not errors


def test_the_benchmark_looks_at_pages(small, chromium):
    """It opens one, pans it, and says how long that took."""
    _, folder = small
    found = view.look(chromium, folder / "one.html")
    assert 0 < found["open_ms"] < 60_000
    assert 0 < found["median_ms"] <= found["frame_ms"]
    assert found["draw_ms"] > 0
