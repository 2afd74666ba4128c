// Keys, and how to read the page.

import { el } from "./dom";

const KEYS: [string, string][] = [
  ["← →", "pan"],
  ["+ −", "zoom about the cursor"],
  ["0", "the whole program"],
  ["↑ ↓", "go from row to row"],
  ["Enter", "unfold or fold the row"],
  ["[ ]", "previous or next instruction of the row"],
  [", .", "move the cursor by a cycle"],
  ["M", "put the second cursor where the first is; X takes it away"],
  ["P", "follow an operand back to who made it"],
  ["R", "follow a result on to who reads it"],
  ["H", "go to the operation that this one waits for"],
  ["O", "select the operation of this instruction"],
  ["/", "search; N and Shift N go through the matches"],
  ["1 2 3 4", "selection, critical path, at a glance, what changed"],
  ["C", "colour by slice or by operation"],
  ["U", "show or hide rows that nothing uses"],
  ["T", "dark or light"],
  ["Esc", "let go of the selection"],
  ["?", "this list"],
];

const READING = [
  "Rows are the chip from west to east. Each stop has a row of streams: words that fly east above its middle line, words that fly west below it. Below come the slices of that stop.",
  "From far, a bar says in what share of those cycles a queue issues. From near, every box is one instruction.",
  "A word keeps its diagonal: one stop further in every cycle. Select an instruction to see the ways of its operands and results.",
  "The strip at the top is the critical path: every part is the time that an operation started after the one that it waited for, in the colour of what it waited for.",
  "Wheel: zoom. Drag: pan. Shift and wheel: pan. Wheel over the names: scroll the rows. Shift and click: measure from the cursor.",
  "Cycles are those of superlane 0; superlane i does everything i cycles later.",
];

let dialog: HTMLDialogElement | null = null;

export function openHelp(): void {
  if (!dialog) {
    const rows = KEYS.map(([key, what]) =>
      el(
        "tr",
        {},
        el("th", { scope: "row" }, ...key.split(" ").map((k) => el("kbd", {}, k))),
        el("td", {}, what),
      ),
    );
    dialog = el(
      "dialog",
      { class: "help", "aria-labelledby": "help-title" },
      el("form", { method: "dialog" }, el("button", { class: "tool", "aria-label": "Close" }, "×")),
      el("h2", { id: "help-title" }, "How to read this page"),
      ...READING.map((text) => el("p", {}, text)),
      el("h2", {}, "Keys"),
      el("table", {}, el("tbody", {}, ...rows)),
    );
    document.body.append(dialog);
  }
  if (!dialog.open) dialog.showModal();
}
