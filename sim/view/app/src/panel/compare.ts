// Two programs beside each other: what became longer.

import type { App } from "../app";
import { el, number } from "../dom";
import { KINDS } from "../operations";
import { compare, type Difference } from "../summary";

export function comparePanel(app: App): Node[] {
  const [a, b] = app.panes.map((pane) => pane.model);
  const found = compare(a, b);
  const cycles: Difference[] = [{ name: "cycles", a: a.header.cycles, b: b.header.cycles }];
  const kinds = found.path.map((d) => ({ ...d, name: KINDS[d.name] ?? d.name }));
  const names: [string, string] = [a.header.name, b.header.name];
  if (names[0] === names[1]) names[1] += " (2)";
  return [
    table("Cycles", names, cycles),
    table("Critical path, by what it waits for", names, kinds),
    table(
      "Operations, those alike together: cycles from first issue to end",
      names,
      found.operations,
    ),
    table("Planes: idle cycles", names, found.planes),
    table("Slices: issues", names, found.slices),
  ];
}

function table(title: string, names: [string, string], rows: Difference[]): Node {
  const changed = rows.filter((row) => row.a !== row.b);
  const shown = (changed.length ? changed : rows).slice(0, 40);
  const body = shown.map(({ name, a, b }) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, name),
      el("td", {}, number(a)),
      el("td", {}, number(b)),
      el(
        "td",
        { class: b > a ? "longer" : b < a ? "shorter" : "" },
        `${b > a ? "+" : ""}${number(b - a)}`,
      ),
    ),
  );
  return el(
    "table",
    { class: "numbers compare" },
    el("caption", {}, title, changed.length ? "" : " (the same)"),
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        el("th", {}),
        el("th", {}, names[0]),
        el("th", {}, names[1]),
        el("th", {}, "change"),
      ),
    ),
    el("tbody", {}, ...body),
  );
}
