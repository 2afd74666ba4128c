// The chip from west to east as a small drawing: where one is, and how busy what is in sight.

import type { App } from "./app";
import { svg } from "./dom";
import { mix } from "./colours";
import type { Pane } from "./pane";

const HEIGHT = 86;
const WIDTHS: Record<string, number> = { MXM: 34, SXM: 14, VXM: 34, C2C: 7, MEM: 10 };

export class FloorPlan {
  readonly element: SVGElement;
  private readonly boxes: SVGElement[] = [];
  private readonly fills: SVGElement[] = [];
  private readonly stops: SVGElement[] = [];

  constructor(
    readonly app: App,
    readonly pane: Pane,
  ) {
    const { slices, config } = pane.model.header;
    const many = slices.length > 40;
    let x = 0;
    const parts: SVGElement[] = [];
    const places: { left: number; right: number }[] = [];
    slices.forEach((slice, index) => {
      const last = slices[index - 1];
      x += last && last.stop !== slice.stop ? (many ? 3 : 7) : last ? 1 : 0;
      const width = many && slice.kind === "MEM" ? 3 : WIDTHS[slice.kind];
      places[slice.stop] ??= { left: x, right: x };
      places[slice.stop].right = x + width;
      parts.push(this.slice(index, x, width));
      x += width;
    });
    places.forEach(({ left, right }, stop) => {
      const mark = svg("rect", {
        ...{ x: left, y: HEIGHT - 9, width: Math.max(right - left, 2), height: 4, rx: 2 },
        class: "stop",
      });
      this.stops[stop] = mark;
      parts.push(mark);
    });
    this.element = svg(
      "svg",
      {
        ...{ class: "floorplan", viewBox: `-1 -1 ${x + 2} ${HEIGHT + 2}`, role: "group" },
        preserveAspectRatio: "none",
        "aria-label": `Floor plan of ${config.name}, west on the left. Click on a slice to go to its rows.`,
      },
      ...parts,
    );
  }

  private slice(index: number, x: number, width: number): SVGElement {
    const slice = this.pane.model.header.slices[index];
    const box = svg("rect", { x, y: 0, width, height: HEIGHT - 14, rx: width > 6 ? 2 : 0 });
    const fill = svg("rect", { x, y: 0, width, height: 0, rx: 0, class: "level" });
    this.boxes[index] = box;
    this.fills[index] = fill;
    const title = svg("title", {}, slice.name);
    const group = svg(
      "g",
      { class: "slice", onclick: () => this.app.goToSlice(index) },
      title,
      box,
      fill,
    );
    if (width >= 30) {
      const text = { x: x + width / 2, y: 12, "text-anchor": "middle", class: "slice-name" };
      group.append(svg("text", text, slice.kind));
    }
    return group;
  }

  /** Levels are the busy share of every slice in the cycles that are in sight. */
  paint(): void {
    const { pane, app } = this;
    const { header } = pane.model;
    const from = Math.max(0, app.view.from);
    const to = Math.min(pane.model.cycles, app.view.to);
    const here = app.slicesShown(pane);
    header.slices.forEach((slice, index) => {
      const colour = app.theme.kinds[slice.kind];
      const queues = pane.model.header.queues.flatMap((q, i) => (q.slice === index ? [i] : []));
      const sums = pane.busyUnit(`slice ${index}`, () => queues);
      const share = Math.min(
        1,
        sums.mean(from, to) / Math.max(1, measured(slice.kind, queues.length)),
      );
      const high = (HEIGHT - 14) * share;
      this.boxes[index].setAttribute("fill", colour.track);
      this.boxes[index].setAttribute(
        "stroke",
        here.slice === index ? app.theme.select : mix(colour.bar, app.theme.back, 0.3),
      );
      this.boxes[index].setAttribute("stroke-width", here.slice === index ? "2.5" : "0.8");
      this.fills[index].setAttribute("fill", colour.bar);
      this.fills[index].setAttribute("y", String(HEIGHT - 14 - high));
      this.fills[index].setAttribute("height", String(high));
    });
    this.stops.forEach((mark, stop) => {
      mark.setAttribute("fill", here.stops.has(stop) ? app.theme.select : app.theme.line);
    });
  }
}

/** Queues of a slice that can be busy in every cycle: LW and IW of a plane have little to do. */
function measured(kind: string, queues: number): number {
  return kind === "MXM" ? queues / 2 : queues;
}
