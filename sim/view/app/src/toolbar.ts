// The head of the page: what it shows, search, and switches.

import type { App } from "./app";
import { el, number, percent } from "./dom";
import { openHelp } from "./help";

const KINDS = ["operations", "MXM", "SXM", "MEM", "VXM", "stream"];

export class Toolbar {
  readonly element: HTMLElement;
  readonly search = el("input", {
    type: "search",
    placeholder: "Search queue, read, @12, tensor, operation…",
    "aria-label": "search by queue, instruction, at-sign address, tensor, operation or cycle",
    autocomplete: "off",
    spellcheck: "false",
  });
  private readonly steps: HTMLElement[];
  private readonly count = el("span", { class: "count", role: "status" });

  constructor(readonly app: App) {
    this.search.addEventListener("input", () => {
      clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.run(), 250);
    });
    this.search.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key === "Enter") {
        clearTimeout(this.timer);
        if (this.sought !== this.search.value) this.run();
        else app.goToFound(app.foundAt + (event.shiftKey ? -1 : 1));
      } else if (event.key === "Escape") app.current.canvas.focus();
    });
    const button = (label: string, title: string, act: () => void, extra = {}) =>
      el("button", { class: "tool", title, "aria-label": title, onclick: act, ...extra }, label);
    const { app: a } = this;
    this.steps = [
      button("‹", "Previous match", () => a.goToFound(a.foundAt - 1), { hidden: true }),
      button("›", "Next match", () => a.goToFound(a.foundAt + 1), { hidden: true }),
    ];
    this.element = el(
      "header",
      { class: "toolbar" },
      el("h1", {}, app.panes.map((pane) => pane.model.header.name).join(" and ")),
      ...this.facts(),
      el(
        "div",
        { class: "chips", role: "group", "aria-label": "unfold or fold rows by kind" },
        ...KINDS.map((kind) =>
          el(
            "button",
            {
              class: `chip ${kind}`,
              title: `Unfold or fold: ${kind}`,
              onclick: () => a.foldKind(kind),
            },
            el("i", { class: `swatch kind-${kind}` }),
            kind === "stream" ? "streams" : kind,
          ),
        ),
      ),
      el("div", { class: "find" }, this.search, this.count, ...this.steps),
      el(
        "div",
        { class: "tools" },
        button("−", "Zoom out", () => a.view.zoom(1 / 2)),
        button("+", "Zoom in", () => a.view.zoom(2)),
        button("Fit", "Show the whole program", () => a.view.fit()),
        button("Colour", "Colour by kind of slice or by operation", () => {
          a.byOperation = !a.byOperation;
          a.draw();
        }),
        button("◐", "Dark or light", () => a.setTheme(!a.theme.dark)),
        button("?", "Keys and help", openHelp),
      ),
    );
  }

  private timer = 0;
  private sought = "";

  private run(): void {
    this.sought = this.search.value;
    this.app.find(this.sought);
    this.refresh();
  }

  refresh(): void {
    const { found, foundAt } = this.app;
    for (const step of this.steps) step.hidden = found.length < 2;
    this.count.textContent = !this.sought
      ? ""
      : found.length
        ? `${foundAt + 1} of ${number(found.length)}`
        : "none";
  }

  private facts(): Node[] {
    return this.app.panes.map((pane) => {
      const { cycles, ideal, measured, fault, config, values } = pane.model.header;
      const parts: (Node | string)[] = [el("b", {}, config.name), ` ${number(cycles)} cycles`];
      if (ideal) parts.push(`, ${percent(ideal / cycles)} busy`);
      if (measured !== null && measured !== cycles)
        parts.push(el("em", {}, ` measured: ${number(measured)}`));
      if (values?.until != null)
        parts.push(el("em", {}, ` values up to cycle ${number(values.until)}`));
      if (fault) parts.push(el("em", { class: "fault" }, ` ${fault}`));
      return el("span", { class: "facts" }, ...parts);
    });
  }
}
