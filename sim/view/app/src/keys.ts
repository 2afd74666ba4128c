// Everything by keyboard alone.

import type { App, Tab } from "./app";
import { TABS } from "./app";
import { describe } from "./describe";
import { number } from "./dom";
import { openHelp } from "./help";
import type { Issue } from "./model";
import { reason } from "./operations";

export function listen(app: App): void {
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const target = event.target as HTMLElement;
    if (target.closest("input, dialog")) return;
    // Buttons and the panel keep the keys by which they work.
    if (target.closest("button") && (event.key === "Enter" || event.key === " ")) return;
    if (target.closest(".panel-body") && event.key.startsWith("Arrow")) return;
    if (press(app, event)) event.preventDefault();
  });
}

function press(app: App, event: KeyboardEvent): boolean {
  const { view } = app;
  const about =
    app.cursor !== null && app.cursor > view.from && app.cursor < view.to ? app.cursor : undefined;
  switch (event.key) {
    case "ArrowLeft":
    case "a":
      view.pan(-0.15);
      return true;
    case "ArrowRight":
    case "d":
      view.pan(0.15);
      return true;
    case "ArrowUp":
      return row(app, -1);
    case "ArrowDown":
      return row(app, 1);
    case "+":
    case "=":
    case "w":
      view.zoom(1.6, about);
      return true;
    case "-":
    case "s":
      view.zoom(1 / 1.6, about);
      return true;
    case "0":
    case "f":
      view.fit();
      return true;
    case "Enter":
    case " ":
      return enter(app);
    case "[":
      return issue(app, -1);
    case "]":
      return issue(app, 1);
    case ",":
      return cursor(app, -1);
    case ".":
      return cursor(app, 1);
    case "m":
      app.mark = app.cursor;
      app.draw();
      return true;
    case "x":
      app.mark = null;
      app.draw();
      return true;
    case "p":
      return follow(app, "operands");
    case "r":
      return follow(app, "results");
    case "h":
      return holder(app);
    case "o":
      return operation(app);
    case "/":
      app.toolbar.search.focus();
      return true;
    case "n":
      app.goToFound(app.foundAt + 1);
      return true;
    case "N":
      app.goToFound(app.foundAt - 1);
      return true;
    case "c":
      app.byOperation = !app.byOperation;
      app.draw();
      return true;
    case "u":
      app.showUnused(!app.pane.unused);
      return true;
    case "t":
      app.setTheme(!app.theme.dark);
      return true;
    case "?":
      openHelp();
      return true;
    case "Escape":
      app.select(app.pane, null);
      return true;
  }
  const tab: Tab | undefined = TABS[Number(event.key) - 1];
  if (!tab || (tab === "compare" && app.panes.length < 2)) return false;
  app.show(tab);
  return true;
}

function row(app: App, step: number): boolean {
  const { shown } = app.pane;
  const at = shown.findIndex((r) => r.key === app.focusRow?.key);
  const next = shown[Math.max(0, Math.min(shown.length - 1, at + step))];
  if (!next) return true;
  app.focusRow = next;
  app.current.reveal(next);
  app.say(
    `${next.title}${next.children.length ? (app.pane.open.has(next.key) ? ", open" : ", folded") : ""}`,
  );
  return true;
}

function enter(app: App): boolean {
  const focus = app.focusRow;
  if (!focus) return false;
  if (focus.children.length) app.fold(app.pane, focus);
  else if (focus.queues.length === 1) {
    const at = app.cursor ?? Math.max(0, Math.floor(app.view.from));
    const { model } = app.pane;
    const here = model.issueAt(focus.queues[0], at);
    if (here) app.select(app.pane, { type: "issue", issue: here }, true);
    else issue(app, 1);
  }
  return true;
}

function issue(app: App, step: 1 | -1): boolean {
  const { model } = app.pane;
  const selected = app.selected?.selection;
  let queue = app.focusRow?.queues.length === 1 ? app.focusRow.queues[0] : -1;
  let at = app.cursor ?? Math.max(0, Math.floor(app.view.from)) - (step > 0 ? 1 : 0);
  if (selected?.type === "issue") {
    queue = model.queue[selected.issue.run];
    at = model.cycleOf(selected.issue);
  }
  if (queue < 0) return true;
  const next: Issue | null =
    step > 0 ? model.issueFrom(queue, at + 1) : model.issueUpTo(queue, at - 1);
  if (next) app.select(app.pane, { type: "issue", issue: next }, true);
  return true;
}

function cursor(app: App, step: number): boolean {
  const at = (app.cursor ?? Math.floor((app.view.from + app.view.to) / 2)) + step;
  app.setCursor(at);
  app.view.show(at);
  app.say(`cycle ${number(at)}`);
  return true;
}

function follow(app: App, which: "operands" | "results"): boolean {
  const selected = app.selected;
  if (selected?.selection.type === "word") {
    const { direction, stream, stop, cycle } = selected.selection;
    const streams = selected.pane.streams();
    const from = streams.producer(direction, stream, stop, cycle);
    const [to] = from ? streams.consumers(direction, stream, from.stop, from.cycle) : [];
    const next = which === "operands" ? from : to;
    if (next)
      app.select(selected.pane, { type: "issue", issue: { run: next.run, k: next.k } }, true);
    return true;
  }
  if (selected?.selection.type !== "issue") return true;
  const links = app.linksOf(selected.pane, selected.selection.issue)[which];
  const next = links.find((link) => link.other)?.other;
  if (next) app.select(selected.pane, { type: "issue", issue: { run: next.run, k: next.k } }, true);
  else app.say(which === "operands" ? "nothing made it" : "nobody reads it");
  return true;
}

function operation(app: App): boolean {
  if (!app.selected) return true;
  const { pane, selection } = app.selected;
  const op = pane.operationOf(selection);
  if (op >= 0) app.select(pane, { type: "operation", op }, true);
  return true;
}

function holder(app: App): boolean {
  if (!app.selected) return true;
  const { pane, selection } = app.selected;
  const op = pane.operationOf(selection);
  if (op < 0) return true;
  const found = reason(pane.model, op);
  if (found.holder >= 0) app.select(pane, { type: "operation", op: found.holder }, true);
  app.say(
    `${found.sentence} ${found.holder >= 0 ? describe(pane, { type: "operation", op: found.holder }) : ""}`,
  );
  return true;
}
