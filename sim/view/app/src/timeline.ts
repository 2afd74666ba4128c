// The canvas of one pane with the labels beside it.

import type { App } from "./app";
import { el } from "./dom";
import {
  paintChain,
  paintCursors,
  paintFlight,
  paintLinks,
  paintMembers,
  paintSelection,
} from "./overlay";
import { paintRows, type Frame } from "./paint";
import type { Hit, Pane, Selection } from "./pane";
import type { Row } from "./rows";
import { Pixels } from "./pixels";
import { gestures } from "./timeview";

export class Timeline {
  readonly element: HTMLElement;
  readonly canvas: HTMLCanvasElement;
  private readonly labels: HTMLElement;
  private readonly bar: HTMLElement;
  private readonly context: CanvasRenderingContext2D;
  private labelled = "";
  private pointer: { x: number; y: number } | null = null;

  constructor(
    readonly app: App,
    readonly pane: Pane,
    readonly index: number,
  ) {
    this.canvas = el("canvas", {
      tabindex: 0,
      role: "application",
      "aria-roledescription": "schedule",
      "aria-label":
        `Schedule of ${pane.model.header.name}: time from left to right, the chip from west to ` +
        "east from top to bottom. Press question mark for its keys.",
      "aria-describedby": "announcer",
    });
    this.labels = el("div", { class: "labels", role: "tree", "aria-label": "rows" });
    this.bar = el("div", { class: "bar", "aria-hidden": "true" }, el("div"));
    const title =
      app.panes.length > 1 ? el("div", { class: "pane-title" }, pane.model.header.name) : null;
    this.element = el("section", { class: "pane" }, title, this.labels, this.canvas, this.bar);
    this.context = this.canvas.getContext("2d")!;
    this.listen();
    new ResizeObserver(() => this.resize()).observe(this.canvas);
  }

  private listen(): void {
    const { canvas, app, labels } = this;
    gestures(canvas, app.view, (by) => this.scrollBy(by));
    canvas.addEventListener("pointermove", (event) => {
      this.pointer = { x: event.offsetX, y: event.offsetY };
      if (event.pointerType === "mouse")
        this.app.hovered(this, this.hit(event.offsetX, event.offsetY), event);
    });
    canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      app.left();
    });
    canvas.addEventListener("click", (event) => {
      canvas.focus({ preventScroll: true });
      app.clicked(this, this.hit(event.offsetX, event.offsetY), event);
    });
    canvas.addEventListener("dblclick", (event) => {
      app.view.zoom(event.shiftKey ? 1 / 4 : 4, this.cycleAt(event.offsetX));
    });
    canvas.addEventListener("focus", () => app.focused(this));
    const wheel = (event: WheelEvent) => {
      if (event.currentTarget === canvas && !event.altKey) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      this.scrollBy(event.deltaY);
    };
    labels.addEventListener("wheel", wheel, { passive: false });
    canvas.addEventListener("wheel", wheel, { passive: false, capture: true });
    this.bar.addEventListener("pointerdown", (event) => this.dragBar(event));
  }

  private dragBar(event: PointerEvent): void {
    const to = (y: number) => {
      const box = this.bar.getBoundingClientRect();
      const { pane } = this;
      pane.scrollTo(((y - box.top) / box.height) * pane.height - pane.room / 2);
      this.app.draw();
    };
    this.bar.setPointerCapture(event.pointerId);
    to(event.clientY);
    const move = (e: PointerEvent) => to(e.clientY);
    this.bar.addEventListener("pointermove", move);
    const done = () => this.bar.removeEventListener("pointermove", move);
    this.bar.addEventListener("pointerup", done, { once: true });
    this.bar.addEventListener("pointercancel", done, { once: true });
  }

  scrollBy(by: number): void {
    if (this.pane.scrollTo(this.pane.scroll + by)) this.app.draw();
  }

  /** Scrolls so that a row is in sight. */
  reveal(row: Row): void {
    const { pane } = this;
    if (row.y < pane.scroll + 20) pane.scrollTo(row.y - 60);
    else if (row.y + row.height > pane.scroll + pane.room - 10) {
      pane.scrollTo(row.y + row.height - pane.room + 60);
    }
    this.app.draw();
  }

  cycleAt(x: number): number {
    const { from, to } = this.app.view;
    return from + (x / Math.max(1, this.canvas.clientWidth)) * (to - from);
  }

  hit(x: number, y: number): Hit {
    const { from, to } = this.app.view;
    return this.pane.hit(this.cycleAt(x), y, (to - from) / Math.max(1, this.canvas.clientWidth));
  }

  private resize(): void {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.pane.room = clientHeight - this.pane.top;
    this.pane.scrollTo(this.pane.scroll);
    this.app.paintNow();
  }

  paint(): void {
    const { canvas, pane, app } = this;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    this.context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    const frame: Frame = {
      ...{ ctx: this.context, pane, theme: app.theme, width, height },
      ...{ from: app.view.from, to: app.view.to, byOperation: app.byOperation },
      pixels: this.pixels(),
    };
    paintRows(frame);
    this.overlay(frame);
    this.paintLabels();
    this.paintBar(height);
  }

  private made: Pixels | null = null;

  private pixels(): Pixels {
    const { width, height, clientWidth } = this.canvas;
    if (this.made?.width !== width || this.made.height !== height) {
      this.made = new Pixels(width, height, width / clientWidth);
    }
    return this.made;
  }

  private overlay(frame: Frame): void {
    const { app, pane } = this;
    const { ctx } = frame;
    const selected = app.selectionIn(this.index);
    const hover = app.hoverIn(this.index);
    ctx.save();
    ctx.beginPath();
    ctx.rect(0, pane.top, frame.width, frame.height - pane.top);
    ctx.clip();
    paintChain(frame);
    const shown = selected ?? hover;
    if (shown) {
      const op = pane.operationOf(shown);
      if (op >= 0) paintMembers(frame, op);
      this.paintWays(frame, shown);
    }
    if (selected) paintSelection(frame, selected, true);
    if (hover && hover !== selected) paintSelection(frame, hover, false);
    const focus = app.focusRow;
    if (focus && app.current === this && document.activeElement === this.canvas) {
      ctx.strokeStyle = app.theme.accent;
      ctx.lineWidth = 1;
      ctx.strokeRect(
        0.5,
        pane.top + focus.y - pane.scroll + 0.5,
        frame.width - 1,
        focus.height - 2,
      );
    }
    ctx.restore();
    const under = this.pointer ? Math.floor(this.cycleAt(this.pointer.x)) : null;
    paintCursors(frame, app.hoverCycle ?? under, app.cursor, app.mark);
  }

  private paintWays(frame: Frame, shown: Selection): void {
    const { pane } = this;
    if (shown.type === "issue") {
      const { operands, results } = this.app.linksOf(pane, shown.issue);
      paintLinks(frame, shown.issue, operands, results);
    } else if (shown.type === "word") {
      const { direction, stream, stop, cycle } = shown;
      const from = pane.streams().producer(direction, stream, stop, cycle);
      if (!from) return;
      const to = pane.streams().consumers(direction, stream, from.stop, from.cycle);
      const ends = to.length ? to : [null];
      for (const reader of ends) {
        const until = reader ?? { stop, cycle };
        paintFlight(frame, { direction, stream, size: 1, from, to: until }, from, reader);
      }
    }
  }

  /** Makes the labels anew with the next frame. */
  relabel(): void {
    this.labelled = "";
  }

  private paintBar(height: number): void {
    const thumb = this.bar.firstElementChild as HTMLElement;
    const { pane } = this;
    const all = Math.max(pane.height, 1);
    this.bar.style.visibility = pane.height > pane.room ? "visible" : "hidden";
    this.bar.style.top = `${this.canvas.offsetTop + pane.top}px`;
    const room = height - pane.top;
    this.bar.style.height = `${room}px`;
    thumb.style.top = `${(pane.scroll / all) * room}px`;
    thumb.style.height = `${Math.max(24, (pane.room / all) * room)}px`;
  }

  private paintLabels(): void {
    const { pane, app } = this;
    const focus = app.current === this ? app.focusRow?.key : "";
    const state = `${pane.scroll}|${pane.height}|${pane.room}|${focus}|${[...pane.open].join()}`;
    if (state === this.labelled) return;
    this.labelled = state;
    const list: HTMLElement[] = [];
    if (pane.pinned) list.push(this.label(pane.rows[0], pane.top - pane.pinned, focus));
    const inner = el("div", { class: "rows", role: "group", style: `top:${pane.top}px` });
    for (const row of pane.shown) {
      const y = row.y - pane.scroll;
      if (y + row.height < 0 || y > pane.room) continue;
      inner.append(this.label(row, y, focus));
    }
    this.labels.replaceChildren(...list, inner);
  }

  private label(row: Row, y: number, focus: string | undefined): HTMLElement {
    const { pane, app } = this;
    const folds = row.type === "stop" || row.children.length > 0;
    const open = pane.open.has(row.key);
    const name = row.type === "operations" ? `${pane.model.operations} operations` : row.label;
    const swatch =
      (row.depth === 0 && row.type === "group") || (row.type === "queue" && row.depth === 0)
        ? el("i", { class: "swatch", style: `background:${app.theme.kinds[row.kind]?.bar}` })
        : null;
    return el(
      "div",
      {
        class: `label ${row.type}${row.key === focus ? " focus" : ""}`,
        style: `top:${y}px;height:${row.height}px;padding-left:${8 + row.depth * 14}px`,
        role: "treeitem",
        title: row.title,
        "aria-label": row.title,
        "aria-level": row.depth + 1,
        "aria-expanded": folds ? String(open) : null,
        onclick: () => app.rowClicked(this, row),
      },
      folds ? el("span", { class: "fold" }, open ? "▾" : "▸") : el("span", { class: "fold" }),
      swatch,
      el("span", { class: "name" }, name),
    );
  }
}
