// The critical path as a list, and its cycles by kind of resource.

import type { App } from "../app";
import { el, number, percent } from "../dom";
import { KINDS, reason } from "../operations";
import type { Pane } from "../pane";
import { pathKinds } from "../summary";

export function pathPanel(app: App, pane: Pane): Node[] {
  const { model, steps } = pane;
  if (!steps.length) {
    return [el("p", { class: "hint" }, "This program says nothing of its operations.")];
  }
  const kinds = [...pathKinds(model)].sort((a, b) => b[1] - a[1]);
  const sum = kinds.reduce((total, [, cycles]) => total + cycles, 0);
  const rows = kinds.map(([kind, cycles]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, swatch(app, kind), KINDS[kind] ?? kind),
      el("td", {}, number(cycles)),
      el("td", {}, percent(cycles / model.header.cycles)),
    ),
  );
  const items = [...steps].reverse().map((step) => {
    const go = () => app.select(pane, { type: "operation", op: step.op }, true);
    const says =
      step.kind === "run"
        ? "the last operation, from its start to its end"
        : reason(model, step.op).sentence;
    return el(
      "li",
      {},
      el(
        "button",
        { class: "follow", onclick: go },
        el(
          "span",
          { class: "tag", style: `border-color:${app.theme.reasons[step.kind]}` },
          `${number(step.to - step.from)}`,
        ),
        el("span", {}, model.nameOf(step.op)),
        el("span", { class: "muted" }, says),
      ),
    );
  });
  return [
    el(
      "p",
      { class: "lead" },
      "From the last result back to the first cycle: what each operation waited for. These waits add up to the length of the program.",
    ),
    stacked(app, kinds, model.header.cycles, KINDS),
    el(
      "table",
      { class: "numbers" },
      el("caption", {}, "Cycles of the critical path, by what it waits for"),
      el(
        "thead",
        {},
        el("tr", {}, el("th", {}, "waits for"), el("th", {}, "cycles"), el("th", {}, "share")),
      ),
      el("tbody", {}, ...rows),
      el(
        "tfoot",
        {},
        el(
          "tr",
          {},
          el("th", { scope: "row" }, "sum"),
          el("td", { id: "path-sum" }, number(sum)),
          el(
            "td",
            {},
            sum === model.header.cycles
              ? `= ${number(model.header.cycles)} cycles`
              : `of ${number(model.header.cycles)}`,
          ),
        ),
      ),
    ),
    el("h3", {}, "Steps, last first"),
    el("ol", { class: "links steps" }, ...items.slice(0, 400)),
    ...(items.length > 400
      ? [el("p", { class: "muted" }, `and ${items.length - 400} steps before these`)]
      : []),
  ];
}

export function swatch(app: App, kind: string): Node {
  return el("i", { class: "swatch", style: `background:${app.theme.reasons[kind] ?? "gray"}` });
}

/** One bar whose parts are shares of `all`. */
export function stacked(
  app: App,
  parts: [string, number][],
  all: number,
  names: Record<string, string>,
): Node {
  const bars = parts
    .filter(([, value]) => value > 0)
    .map(([kind, value]) =>
      el("i", {
        style: `width:${(100 * value) / all}%;background:${app.theme.reasons[kind] ?? "gray"}`,
        title: `${names[kind] ?? kind}: ${number(value)}`,
      }),
    );
  return el("div", { class: "stacked", "aria-hidden": "true" }, ...bars);
}
