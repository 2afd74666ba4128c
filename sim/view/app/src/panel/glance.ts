// The program at a glance: loads over time beside the ideal, idle planes, busy slices.

import uPlot from "uplot";
import type { App } from "../app";
import { mix } from "../colours";
import { el, number, percent } from "../dom";
import { IDLE } from "../operations";
import type { Pane } from "../pane";
import { loads, slices } from "../summary";
import { stacked, swatch } from "./path";

const BINS = 72;

export class Glance {
  private plot: uPlot | null = null;
  private readonly host = el("div", { class: "plot", "aria-hidden": "true" });

  constructor(
    readonly app: App,
    readonly pane: Pane,
  ) {}

  build(): Node[] {
    const { pane } = this;
    const { header } = pane.model;
    return [
      el("h3", {}, "Busy over time ", el("span", { class: "muted" }, "cycles in sight")),
      this.host,
      ...ideal(pane),
      ...this.planes(),
      el("h3", {}, "Slices"),
      this.sliceTable(),
      el(
        "p",
        { class: "muted" },
        `${header.config.name}: ${number(pane.model.issues)} instructions issued, ${number(pane.model.operations)} operations`,
      ),
    ];
  }

  /** Draws the loads of the cycles that are in sight. */
  paint(): void {
    const width = this.host.clientWidth;
    if (!width) return;
    const { pane, app } = this;
    const { theme } = app;
    const from = Math.max(0, app.view.from);
    const to = Math.min(pane.model.cycles, app.view.to);
    const bins = Math.max(8, Math.min(BINS, Math.floor(to - from)));
    const step = (to - from) / bins;
    const xs = Array.from({ length: bins }, (_, i) => from + (i + 0.5) * step);
    const groups = loads(pane.model);
    const lines = groups.map(({ name, queues }) => {
      const sums = pane.busyUnit(name, () => queues);
      return xs.map((x) => (100 * sums.mean(x - step / 2, x + step / 2)) / queues.length);
    });
    const { stops, streams } = pane.model.header.config;
    const ways = 2 * streams * (stops - 1);
    lines.push(xs.map((x) => (100 * pane.flow.total.mean(x - step / 2, x + step / 2)) / ways));
    const colours = [...groups.map(({ kind }) => theme.kinds[kind].bar), theme.muted];
    const names = [...groups.map(({ name }) => name), "streams"];
    const { ideal, cycles } = pane.model.header;
    if (ideal) {
      lines.push(xs.map(() => (100 * ideal) / cycles));
      colours.push(theme.select);
      names.push("ideal for planes");
    }
    this.plot?.destroy();
    this.plot = new uPlot(this.options(width, names, colours), [xs, ...lines], this.host);
  }

  private options(width: number, names: string[], colours: string[]): uPlot.Options {
    const { theme } = this.app;
    const axis = {
      stroke: theme.muted,
      grid: { stroke: mix(theme.line, theme.back, 0.4), width: 1 },
      ticks: { stroke: theme.line, width: 1 },
      font: "10px ui-sans-serif, system-ui, sans-serif",
    };
    return {
      width,
      height: 190,
      cursor: { show: false },
      legend: { show: true, live: false },
      scales: { x: { time: false }, y: { range: [0, 100] } },
      axes: [
        { ...axis, size: 24, values: (_, ticks) => ticks.map((t) => number(t)) },
        { ...axis, size: 46, values: (_, ticks) => ticks.map((t) => `${t}%`) },
      ],
      series: [
        { label: "cycle" },
        ...names.map((label, i) => ({
          ...{ label, stroke: colours[i], width: i === 0 ? 1.75 : 1.1, points: { show: false } },
          ...(label.startsWith("ideal") ? { dash: [4, 3] } : {}),
        })),
      ],
    };
  }

  private planes(): Node[] {
    const { app, pane } = this;
    const { planes, cycles } = pane.model.header;
    if (!planes.length) return [];
    const kinds = new Set(planes.flatMap((p) => Object.keys(p.idle)));
    const order = ["busy", ...Object.keys(IDLE).filter((k) => k !== "busy" && kinds.has(k))];
    for (const kind of kinds) if (!order.includes(kind)) order.push(kind);
    const value = (p: (typeof planes)[number], kind: string) =>
      kind === "busy" ? p.busy : (p.idle[kind] ?? 0);
    const head = el("tr", {}, el("th", {}, "cycles"), ...planes.map((p) => el("th", {}, p.name)));
    const body = order.map((kind) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, swatch(app, kind), IDLE[kind] ?? kind),
        ...planes.map((p) => el("td", {}, number(value(p, kind)))),
      ),
    );
    return [
      el("h3", {}, "Where the cycles of the planes went"),
      ...planes.map((p) =>
        el(
          "div",
          { class: "plane-bar" },
          el("span", {}, p.name),
          stacked(
            app,
            order.map((kind) => [kind, value(p, kind)]),
            cycles,
            IDLE,
          ),
          el("span", { class: "muted" }, percent(p.busy / cycles)),
        ),
      ),
      el(
        "table",
        { class: "numbers" },
        el("caption", {}, "Cycles of every plane: busy, and idle by what it waits for"),
        el("thead", {}, head),
        el("tbody", {}, ...body),
      ),
    ];
  }

  private sliceTable(): Node {
    const { app, pane } = this;
    const rows = slices(pane.model).map(({ name, kind, issues, share }) =>
      el(
        "tr",
        {},
        el(
          "th",
          { scope: "row" },
          el("i", { class: "swatch", style: `background:${app.theme.kinds[kind]?.bar}` }),
          name,
        ),
        el("td", {}, number(issues)),
        el("td", {}, percent(share)),
        el(
          "td",
          { class: "meter", "aria-hidden": "true" },
          el("i", {
            style: `width:${100 * Math.min(1, share)}%;background:${app.theme.kinds[kind]?.bar}`,
          }),
        ),
      ),
    );
    return el(
      "table",
      { class: "numbers" },
      el(
        "caption",
        {},
        "Share of cycles in which the queues of a slice issue; of an MXM, those that stream activations",
      ),
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          el("th", {}, "slice"),
          el("th", {}, "issues"),
          el("th", {}, "busy"),
          el("th", { "aria-hidden": "true" }),
        ),
      ),
      el("tbody", {}, ...rows),
    );
  }
}

function ideal(pane: Pane): Node[] {
  const { ideal, cycles } = pane.model.header;
  if (!ideal) return [];
  return [
    el(
      "p",
      {},
      `${number(cycles)} cycles, of which the work itself needs ${number(ideal)}: ${percent(ideal / cycles)} busy.`,
    ),
  ];
}
