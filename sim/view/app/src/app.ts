// The page: what is in sight and selected, and everything that draws it.

import { theme, type Theme } from "./colours";
import { describe, emptyText } from "./describe";
import { el } from "./dom";
import { FloorPlan } from "./floorplan";
import type { Link } from "./links";
import type { Issue, Model } from "./model";
import { Overview } from "./overview";
import { Pane, type Hit, type Selection } from "./pane";
import { Glance } from "./panel/glance";
import { comparePanel } from "./panel/compare";
import { pathPanel } from "./panel/path";
import { selectionPanel } from "./panel/selection";
import type { Row } from "./rows";
import { search, type Found } from "./search";
import { Timeline } from "./timeline";
import { TimeView } from "./timeview";
import { Toolbar } from "./toolbar";

export const TABS = ["selection", "path", "glance", "compare"] as const;
export type Tab = (typeof TABS)[number];

export class App {
  readonly panes: Pane[];
  readonly view: TimeView;
  readonly timelines: Timeline[];
  theme: Theme;
  byOperation = false;
  cursor: number | null = null;
  mark: number | null = null;
  hoverCycle: number | null = null;
  focusRow: Row | null = null;
  current: Timeline;
  tab: Tab = "selection";
  selected: { pane: Pane; selection: Selection } | null = null;
  found: Found[] = [];
  foundAt = -1;
  /** Milliseconds that the last frames took to draw, newest last. */
  readonly frames: number[] = [];
  changed: () => void = () => undefined;
  readonly toolbar: Toolbar;
  private hover: { pane: Pane; selection: Selection } | null = null;
  private readonly plans: FloorPlan[];
  private readonly overview: Overview;
  private readonly glance: Glance[];
  private readonly panel = el("div", {
    class: "panel-body",
    role: "tabpanel",
    id: "panel-body",
    tabindex: 0,
  });
  private readonly tip = el("div", { class: "tip", role: "tooltip", hidden: true });
  private readonly announcer = el("div", {
    id: "announcer",
    class: "unseen",
    "aria-live": "polite",
  });
  private readonly planHost = el("div", { class: "plan" });
  private readonly tabs = new Map<Tab, HTMLElement>();
  private pending = false;
  private stale = 0;
  private links = new WeakMap<Issue, { operands: Link[]; results: Link[] }>();

  constructor(
    readonly root: HTMLElement,
    models: Model[],
    dark: boolean,
  ) {
    this.theme = theme(dark);
    this.panes = models.map((model) => new Pane(model));
    this.view = new TimeView(Math.max(...models.map((model) => model.header.cycles)));
    this.timelines = this.panes.map((pane, index) => new Timeline(this, pane, index));
    this.current = this.timelines[0];
    this.plans = this.panes.map((pane) => new FloorPlan(this, pane));
    this.glance = this.panes.map((pane) => new Glance(this, pane));
    this.overview = new Overview(this);
    this.toolbar = new Toolbar(this);
    if (models.length > 1) this.tab = "compare";
    this.build();
    this.view.listen(() => this.moved());
    this.setTheme(dark);
    this.refreshPanel();
    this.idle();
  }

  get pane(): Pane {
    return this.current.pane;
  }

  private build(): void {
    const names: Record<Tab, string> = {
      ...{
        selection: "Selection",
        path: "Critical path",
        glance: "At a glance",
        compare: "What changed",
      },
    };
    const tabs = TABS.filter((tab) => tab !== "compare" || this.panes.length > 1).map((tab) => {
      const button = el(
        "button",
        { role: "tab", "aria-controls": "panel-body", onclick: () => this.show(tab) },
        names[tab],
      );
      this.tabs.set(tab, button);
      return button;
    });
    this.planHost.append(this.plans[0].element);
    this.root.replaceChildren(
      this.toolbar.element,
      el(
        "main",
        { class: "main" },
        el(
          "div",
          { class: "charts" },
          this.overview.element,
          ...this.timelines.map((t) => t.element),
        ),
        el(
          "aside",
          { class: "panel", "aria-label": "details" },
          this.planHost,
          el("div", { class: "tabs", role: "tablist" }, ...tabs),
          this.panel,
        ),
      ),
      this.tip,
      this.announcer,
    );
  }

  /** Fills in what takes longer while nothing else is to do. */
  private idle(): void {
    const work = () => {
      const pane = this.panes.find((p) => !p.flow.done);
      if (!pane) {
        this.draw();
        if (this.tab === "glance") this.stale = performance.now();
        return;
      }
      pane.flow.advance(12);
      this.draw();
      setTimeout(work, 4);
    };
    setTimeout(work, 30);
  }

  private moved(): void {
    this.stale = performance.now();
    this.draw();
    this.changed();
  }

  draw(): void {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.paintNow();
    });
  }

  paintNow(): void {
    const start = performance.now();
    for (const timeline of this.timelines) timeline.paint();
    this.overview.paint();
    this.frames.push(performance.now() - start);
    if (this.frames.length > 600) this.frames.shift();
    this.later();
  }

  private waiting = 0;

  /** What may lag behind a gesture: the floor plan and the plot of loads. */
  private later(): void {
    if (this.waiting) return;
    this.waiting = window.setTimeout(() => {
      this.waiting = 0;
      this.plans[this.current.index].paint();
      if (this.tab === "glance" && this.stale) {
        this.stale = 0;
        this.glance[this.current.index].paint();
      }
    }, 120);
  }

  setTheme(dark: boolean): void {
    this.theme = theme(dark);
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    const style = document.documentElement.style;
    for (const name of [
      "back",
      "panel",
      "line",
      "faint",
      "ink",
      "muted",
      "accent",
      "select",
      "east",
      "west",
    ] as const) {
      style.setProperty(`--${name}`, this.theme[name]);
    }
    for (const timeline of this.timelines) timeline.relabel();
    this.refreshPanel();
    this.draw();
  }

  show(tab: Tab): void {
    this.tab = tab;
    this.refreshPanel();
    this.changed();
  }

  refreshPanel(): void {
    for (const [tab, button] of this.tabs) {
      button.setAttribute("aria-selected", String(tab === this.tab));
    }
    const { index, pane } = this.current;
    const nodes =
      this.tab === "path"
        ? pathPanel(this, pane)
        : this.tab === "glance"
          ? this.glance[index].build()
          : this.tab === "compare"
            ? comparePanel(this)
            : this.selectionNodes();
    this.panel.replaceChildren(...nodes);
    if (this.tab === "glance") this.glance[index].paint();
  }

  private selectionNodes(): Node[] {
    const shown = this.selected ?? this.hover;
    return selectionPanel(this, shown?.pane ?? this.pane, shown?.selection ?? null);
  }

  selectionIn(index: number): Selection | null {
    return this.selected?.pane === this.panes[index] ? this.selected.selection : null;
  }

  hoverIn(index: number): Selection | null {
    return this.hover?.pane === this.panes[index] ? this.hover.selection : null;
  }

  linksOf(pane: Pane, issue: Issue): { operands: Link[]; results: Link[] } {
    let found = this.links.get(issue);
    if (!found) {
      found = { operands: pane.links.operands(issue), results: pane.links.results(issue) };
      this.links.set(issue, found);
    }
    return found;
  }

  /** Selects, and if asked for goes there. */
  select(pane: Pane, selection: Selection | null, go = false): void {
    this.selected = selection && { pane, selection };
    const timeline = this.timelines[this.panes.indexOf(pane)];
    this.current = timeline;
    if (selection) {
      if (this.tab !== "selection") this.tab = "selection";
      this.panel.scrollTop = 0;
      const place = pane.place(selection);
      if (go) {
        if (selection.type === "operation") this.goToOperation(pane, selection.op);
        else this.view.show(place.cycle);
        if (place.row) timeline.reveal(place.row);
        this.cursor = place.cycle;
      }
      if (place.row) this.focusRow = place.row;
      this.say(describe(pane, selection));
    }
    this.refreshPanel();
    this.draw();
    this.changed();
  }

  private goToOperation(pane: Pane, op: number): void {
    const { model } = pane;
    const [from, to] = [model.firstOf(op), model.endOf(op)];
    const span = this.view.to - this.view.from;
    if (from >= this.view.from && to <= this.view.to && to - from > span / 12) return;
    const room = Math.max((to - from) * 1.6, 40);
    this.view.set((from + to - room) / 2, (from + to + room) / 2);
  }

  setCursor(cycle: number | null): void {
    this.cursor = cycle === null ? null : Math.max(0, Math.min(cycle, this.view.cycles));
    this.draw();
    this.changed();
  }

  say(text: string): void {
    this.announcer.textContent = text;
  }

  hovered(timeline: Timeline, hit: Hit, event: PointerEvent): void {
    if (event.buttons) return this.left();
    const { pane } = timeline;
    this.hoverCycle = Math.floor(hit.cycle);
    const same = JSON.stringify(hit.selection) === JSON.stringify(this.hover?.selection ?? null);
    if (!same || this.hover?.pane !== pane) {
      this.hover = hit.selection && { pane, selection: hit.selection };
      if (!this.selected && this.tab === "selection") this.refreshPanel();
    }
    this.toolTip(pane, hit, event);
    this.draw();
  }

  private toolTip(pane: Pane, hit: Hit, event: PointerEvent): void {
    const text = hit.selection ? describe(pane, hit.selection) : emptyText(pane, hit);
    this.tip.hidden = !text;
    if (!text) return;
    this.tip.textContent = text;
    const { offsetWidth, offsetHeight } = this.tip;
    const x = Math.min(event.clientX + 14, window.innerWidth - offsetWidth - 8);
    const below = event.clientY + 18;
    const y = below + offsetHeight > window.innerHeight ? event.clientY - offsetHeight - 12 : below;
    this.tip.style.transform = `translate(${Math.round(x)}px, ${Math.round(y)}px)`;
  }

  left(): void {
    this.tip.hidden = true;
    this.hoverCycle = null;
    if (this.hover) {
      this.hover = null;
      if (!this.selected && this.tab === "selection") this.refreshPanel();
    }
    this.draw();
  }

  clicked(timeline: Timeline, hit: Hit, event: MouseEvent): void {
    const cycle = Math.floor(hit.cycle);
    if (event.shiftKey) {
      this.mark = this.cursor ?? cycle;
      this.setCursor(cycle);
      return;
    }
    this.cursor = Math.max(0, Math.min(cycle, this.view.cycles));
    this.focusRow = hit.row?.type === "path" ? this.focusRow : hit.row;
    this.current = timeline;
    this.select(timeline.pane, hit.selection);
  }

  focused(timeline: Timeline): void {
    if (this.current === timeline) return;
    this.current = timeline;
    this.planHost.replaceChildren(this.plans[timeline.index].element);
    this.refreshPanel();
    this.draw();
  }

  rowClicked(timeline: Timeline, row: Row): void {
    this.current = timeline;
    this.focusRow = row;
    if (row.type === "path") return this.show("path");
    this.fold(timeline.pane, row);
  }

  fold(pane: Pane, row: Row, open = !pane.open.has(row.key)): void {
    if (!row.children.length) return;
    if (open) pane.open.add(row.key);
    else pane.open.delete(row.key);
    pane.relayout();
    this.draw();
    this.changed();
  }

  /** Unfolds all rows of a kind, or folds them if all are open. */
  foldKind(kind: string): void {
    for (const pane of this.panes) {
      const rows: Row[] = [];
      const walk = (list: Row[]) => {
        for (const row of list) {
          const match = kind === "operations" ? row.type === "operations" : row.kind === kind;
          const folds = row.type === "stop" || row.children.length > 0;
          if (match && folds) rows.push(row);
          if (row.type !== "stop") walk(row.children);
        }
      };
      walk(pane.rows);
      const all = rows.every((row) => pane.open.has(row.key));
      for (const row of rows) {
        if (all) pane.open.delete(row.key);
        else pane.open.add(row.key);
      }
      pane.relayout();
    }
    this.draw();
    this.changed();
  }

  showUnused(unused: boolean): void {
    for (const pane of this.panes) {
      pane.unused = unused;
      pane.rebuild();
    }
    this.draw();
  }

  goToSlice(index: number): void {
    const { pane } = this.current;
    const row =
      pane.shown.find((r) => r.slice === index) ??
      pane.shown.find((r) => r.type === "group" && r.children.some((c) => c.slice === index));
    if (!row) return this.say(`${pane.model.header.slices[index].name} has nothing to do`);
    this.focusRow = row;
    pane.scrollTo(row.y - 40);
    this.draw();
  }

  /** The slice that is pointed at or selected, and the stops whose rows are in sight. */
  slicesShown(pane: Pane): { slice: number; stops: Set<number> } {
    const stops = new Set<number>();
    for (const row of pane.shown) {
      const y = row.y - pane.scroll;
      if (row.stop >= 0 && y + row.height > 0 && y < pane.room) stops.add(row.stop);
    }
    const shown = this.hover ?? this.selected;
    if (shown?.pane !== pane) return { slice: this.focusRow?.slice ?? -1, stops };
    const { selection } = shown;
    const slice = selection.type === "issue" ? pane.model.queueOf(selection.issue.run).slice : -1;
    return { slice, stops };
  }

  find(text: string): void {
    this.found = search(this.pane.model, text);
    this.foundAt = -1;
    const near = this.found.findIndex((f) => f.cycle >= this.view.from);
    if (this.found.length) this.goToFound(near < 0 ? 0 : near);
  }

  goToFound(at: number): void {
    const count = this.found.length;
    if (!count) return;
    this.foundAt = ((at % count) + count) % count;
    const found = this.found[this.foundAt];
    if (found.selection) this.select(this.pane, found.selection, true);
    else {
      this.view.show(found.cycle, 200);
      this.setCursor(found.cycle);
    }
    this.toolbar.refresh();
  }
}
