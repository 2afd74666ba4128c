// The model of a program: its container, issues by queue and cycle.

import assert from "node:assert/strict";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { decode, readContainer } from "../src/payload";
import { COLUMNS, HEADER, pack, tiny } from "./container";

test("a container gives back its columns, summed where they are differences", () => {
  const { header, columns } = readContainer(pack(HEADER, COLUMNS, ["run.start", "op.start"]));
  assert.equal(header.name, "tiny");
  for (const [name, values] of Object.entries(COLUMNS)) {
    assert.deepEqual([...columns[name]], values, name);
  }
});

test("a payload is unpacked from base64 of gzip", async () => {
  const text = gzipSync(pack(HEADER, COLUMNS)).toString("base64");
  assert.equal((await decode(`\n${text}\n`)).header.cycles, 24);
});

test("what is no payload, or one of another version, is refused", () => {
  assert.throws(() => readContainer(new Uint8Array(64)), /begins with TSPVIEW1/);
  assert.throws(() => readContainer(pack({ ...HEADER, version: 2 }, {})), /version 1, not 2/);
});

test("issues are found by queue and cycle", () => {
  const model = tiny();
  assert.equal(model.issues, 7);
  assert.deepEqual(model.issueAt(0, 2), { run: 0, k: 1 });
  assert.equal(model.issueAt(0, 3), null);
  assert.equal(model.issueAt(0, 6), null);
  assert.deepEqual(model.issueFrom(0, 3), { run: 0, k: 2 });
  assert.equal(model.issueFrom(0, 5), null);
  assert.deepEqual(model.issueFrom(1, 10), { run: 2, k: 0 });
  assert.deepEqual(model.issueUpTo(1, 19), { run: 1, k: 1 });
  assert.equal(model.issueUpTo(2, 2), null);
  assert.equal(model.textOf({ run: 0, k: 2 }), "read address=7 stream=sg1.e2");
});

test("issues before a cycle are counted", () => {
  const model = tiny();
  const counts = [0, 1, 2, 3, 4, 5, 6].map((cycle) => model.issuesBefore(0, cycle));
  assert.deepEqual(counts, [0, 1, 1, 2, 2, 3, 3]);
  assert.equal(model.issuesBefore(1, 24), 3);
  assert.equal(model.issuesBefore(0, -1), 0);
});

test("runs of an operation, and the tensor of an address", () => {
  const model = tiny();
  assert.deepEqual([...model.runsOf(1)], [2, 3]);
  assert.equal(model.tensorAt(0, 11), 0);
  assert.equal(model.tensorAt(0, 12), -1);
});
