// What is in sight and selected, as the fragment of the page's address.

import { TABS, type App, type Tab } from "./app";
import type { Selection } from "./pane";

/** `c=0-100&sel=0.i.12.3&cur=5&mark=9&tab=path&open=c1,ops&closed=...` */
export function write(app: App): string {
  const { view } = app;
  const parts: string[] = [];
  if (view.from !== view.low || view.to !== view.high) {
    parts.push(`c=${tidy(view.from)}_${tidy(view.to)}`);
  }
  if (app.selected) {
    const index = app.panes.indexOf(app.selected.pane);
    parts.push(`sel=${index}.${selectionText(app.selected.selection)}`);
  }
  if (app.cursor !== null) parts.push(`cur=${app.cursor}`);
  if (app.mark !== null) parts.push(`mark=${app.mark}`);
  if (app.tab !== "selection") parts.push(`tab=${app.tab}`);
  app.panes.forEach((pane, i) => parts.push(`open${i}=${[...pane.open].join(".")}`));
  app.panes.forEach((pane, i) => pane.scroll && parts.push(`y${i}=${Math.round(pane.scroll)}`));
  return parts.join("&");
}

function tidy(cycle: number): string {
  return String(Math.round(cycle * 100) / 100);
}

function selectionText(selection: Selection): string {
  if (selection.type === "issue") return `i.${selection.issue.run}.${selection.issue.k}`;
  if (selection.type === "operation") return `o.${selection.op}`;
  const { direction, stream, stop, cycle } = selection;
  return `w.${direction}.${stream}.${stop}.${cycle}`;
}

function readSelection(app: App, text: string): void {
  const [pane, type, ...rest] = text.split(".");
  const at = app.panes[Number(pane)];
  if (!at) return;
  const numbers = rest.map(Number);
  const { model } = at;
  if (type === "i" && numbers[0] < model.runs && numbers[1] < model.count[numbers[0]]) {
    app.select(at, { type: "issue", issue: { run: numbers[0], k: numbers[1] } });
  } else if (type === "o" && numbers[0] < model.operations) {
    app.select(at, { type: "operation", op: numbers[0] });
  } else if (type === "w" && (rest[0] === "E" || rest[0] === "W")) {
    const [, stream, stop, cycle] = numbers;
    app.select(at, { type: "word", direction: rest[0], stream, stop, cycle });
  }
}

/** Applies a fragment; what does not fit this program is left out. */
export function read(app: App, fragment: string): void {
  const params = new URLSearchParams(fragment.replace(/^#/, ""));
  app.panes.forEach((pane, i) => {
    const open = params.get(`open${i}`);
    if (open === null) return;
    pane.open = new Set(open.split(".").filter(Boolean));
    pane.relayout();
    const y = Number(params.get(`y${i}`));
    if (y > 0) pane.scroll = y;
  });
  const cycles = params.get("c")?.split("_").map(Number) ?? [];
  if (cycles.length === 2 && cycles.every(Number.isFinite) && cycles[0] < cycles[1]) {
    app.view.set(cycles[0], cycles[1]);
  }
  const selected = params.get("sel");
  if (selected) readSelection(app, selected);
  const whole = (name: string) => {
    const text = params.get(name);
    return text !== null && /^\d+$/.test(text) ? Number(text) : null;
  };
  if (whole("cur") !== null) app.setCursor(whole("cur"));
  app.mark = whole("mark");
  const tab = params.get("tab") as Tab | null;
  if (tab && TABS.includes(tab) && (tab !== "compare" || app.panes.length > 1)) app.show(tab);
  app.draw();
}

/** Keeps the address up to date, and follows it when it is changed by hand. */
export function follow(app: App): void {
  let timer = 0;
  let own = location.hash;
  app.changed = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      own = `#${write(app)}`;
      try {
        history.replaceState(null, "", own);
      } catch {
        // Pages that are shown inside others may not change their address.
      }
    }, 300);
  };
  window.addEventListener("hashchange", () => {
    if (location.hash !== own) read(app, location.hash);
  });
}
