// What the page makes of a program: reasons, rows, search, comparison, what is in sight.

import assert from "node:assert/strict";
import { test } from "node:test";
import { family, lanes, path, reason } from "../src/operations";
import { layout, opened, rowAt, tree } from "../src/rows";
import { search } from "../src/search";
import { Streams } from "../src/streams";
import { compare, families, pathKinds } from "../src/summary";
import { TimeView } from "../src/timeview";
import { tiny } from "./container";

const model = tiny();

test("the steps of the critical path add up to the program's cycles", () => {
  const steps = path(model);
  assert.deepEqual(
    steps.map(({ op, kind, from, to }) => [op, kind, from, to]),
    [
      [0, "start", 0, 0],
      [1, "issue", 0, 3],
      [1, "run", 3, 24],
    ],
  );
  assert.equal(
    [...pathKinds(model).values()].reduce((a, b) => a + b),
    model.header.cycles,
  );
});

test("reasons are sentences that name resource, cycle and holder", () => {
  const found = reason(model, 1);
  assert.equal(found.holder, 0);
  assert.equal(
    found.sentence,
    "One cycle sooner, it would need the issue slot of MEM_W0.0 in cycle 2, taken by “load rows 0 to 3”.",
  );
  assert.match(reason(model, 0).sentence, /as soon as the program does/);
});

test("operations that overlap take different lanes", () => {
  const { lane, count } = lanes(model);
  assert.deepEqual([...lane], [0, 1]);
  assert.equal(count, 2);
});

test("rows are the chip from west to east, and fold", () => {
  const streams = new Streams(model);
  const rows = tree(model, () => streams, 2, false);
  const names = [
    "critical path",
    "operations",
    "stop 0",
    "MEM_W1",
    "stop 1",
    "MEM_W0",
    "stop 2",
    "stop 3",
    "MEM_E0",
  ];
  assert.deepEqual(
    rows.map((row) => row.label),
    names,
  );
  const folded = layout(rows, new Set());
  assert.equal(folded.shown.length, rows.length);
  const open = layout(rows, new Set(["s3", "ops"]));
  assert.deepEqual(
    open.shown.filter((r) => r.type === "stream").map((r) => r.label),
    ["e2"],
  );
  assert.equal(open.shown.filter((r) => r.type === "lane").length, 2);
  for (const row of open.shown) assert.equal(rowAt(open.shown, row.y + 1), row);
  assert.equal(rowAt(open.shown, open.height + 1), null);
  assert.ok(opened(rows).has("ops"));
});

test("search finds queues, instructions, addresses, tensors, operations and cycles", () => {
  const cycles = (text: string) => search(model, text).map((found) => found.cycle);
  assert.deepEqual(cycles("check"), [3]);
  assert.deepEqual(cycles("MEM_E0"), [5, 20]);
  assert.deepEqual(cycles("read"), [0, 3, 20]);
  assert.deepEqual(cycles("@6"), [2]);
  assert.deepEqual(cycles("mem_e0 @21"), [9, 20]);
  assert.deepEqual(cycles("write @20-21"), [5]);
  assert.deepEqual(cycles("input"), [0]);
  assert.deepEqual(cycles("17"), [17]);
  assert.deepEqual(cycles("nothing of that name"), []);
  assert.deepEqual(cycles("  "), []);
});

test("two programs are compared by what is alike", () => {
  assert.equal(family("values of head 3, rows 16 to 31"), "values of head #, rows # to #");
  assert.equal(families(model).get("load rows # to #"), 12);
  const found = compare(model, model);
  assert.ok(found.slices.every(({ a, b }) => a === b));
  assert.deepEqual(found.path.map(({ name }) => name).sort(), ["issue", "run", "start"]);
});

test("the view stays within the program and about its cursor", () => {
  const view = new TimeView(1000);
  let told = 0;
  view.listen(() => told++);
  view.zoom(4, 100);
  const share = (100 - view.from) / (view.to - view.from);
  assert.ok(Math.abs(share - (100 - view.low) / view.all) < 1e-9);
  view.pan(-100);
  assert.equal(view.from, view.low);
  view.set(400, 400.5);
  assert.ok(view.to - view.from >= 6);
  view.fit();
  assert.equal(view.to, view.high);
  assert.equal(told, 4);
});
