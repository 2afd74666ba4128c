// Words on streams, links between issues, values, and sums over time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Links } from "../src/links";
import { Flow, issueSums } from "../src/series";
import { Streams } from "../src/streams";
import { Values, combine, read, show } from "../src/values";
import { tiny } from "./container";

const model = tiny();
const streams = new Streams(model);
const place = (end: { run: number; k: number } | null) => end && [end.run, end.k];

test("a word is followed from its reader back to its driver", () => {
  assert.deepEqual(place(streams.producer("E", 2, 3, 6)), [0, 0]);
  assert.equal(streams.producer("E", 2, 3, 7), null);
  assert.equal(
    streams.producer("E", 2, 0, 3),
    null,
    "a driver fills the register of the next stop",
  );
  assert.equal(streams.producer("W", 2, 3, 6), null);
});

test("who overwrites a word is its producer from there on", () => {
  // Bank 2 drives at stop 1 in cycle 6, where the word of cycle 5 at stop 0 comes by.
  assert.deepEqual(place(streams.producer("E", 2, 1, 6)), [0, 1]);
  assert.deepEqual(place(streams.producer("E", 2, 2, 7)), [3, 0]);
});

test("a word is followed on to its readers, but not past who overwrites it", () => {
  assert.deepEqual(streams.consumers("E", 2, 0, 3).map(place), [[1, 0]]);
  assert.deepEqual(streams.consumers("E", 2, 0, 5).map(place), []);
  assert.deepEqual(streams.consumers("E", 2, 0, 7).map(place), [[1, 1]]);
});

test("a window says what stands at a stop and whether somebody still reads it", () => {
  // At stop 3 from cycle 5: nothing, needed, nothing, of no use, nothing, needed.
  const { state, runs } = streams.window("E", 2, 3, 5 - 3, 6);
  assert.deepEqual([...state], [0, 2, 0, 1, 0, 2]);
  assert.deepEqual([...runs], [-1, 0, -1, 3, -1, 0]);
  // At stop 1 the word of cycle 6 is about to be overwritten.
  assert.deepEqual([...streams.window("E", 2, 1, 4 - 1, 5).state], [2, 0, 1, 0, 2]);
});

test("the flow counts what windows show", () => {
  const flow = new Flow(model, () => streams);
  while (!flow.done) flow.advance(5);
  for (let stop = 0; stop < 4; stop++) {
    for (let cycle = 0; cycle < 24; cycle++) {
      const { state } = streams.window("E", 2, stop, cycle - stop, 1);
      const here = state[0] === 2 ? 1 : 0;
      assert.equal(flow.at[2 * stop]!.mean(cycle, cycle + 1), here, `stop ${stop}, cycle ${cycle}`);
      assert.equal(flow.stream("E", 2, stop).mean(cycle, cycle + 1), here);
    }
  }
});

test("sums of issues agree with counts", () => {
  const sums = issueSums(model, [0, 1]);
  for (let cycle = 0; cycle <= 24; cycle++) {
    assert.equal(sums.at(cycle), model.issuesBefore(0, cycle) + model.issuesBefore(1, cycle));
  }
});

test("operands and readers, over streams and memory", () => {
  const links = new Links(model, () => streams);
  const [operand] = links.operands({ run: 1, k: 1 });
  assert.deepEqual(place(operand.other), [0, 2]);
  assert.deepEqual(operand.flight!.from, { stop: 0, cycle: 7 });
  assert.deepEqual(operand.flight!.to, { stop: 3, cycle: 10 });
  assert.equal(operand.label, "stream");
  const [result] = links.results({ run: 1, k: 1 });
  assert.deepEqual(place(result.other), [2, 0], "read back later");
  const [source] = links.operands({ run: 2, k: 0 });
  assert.deepEqual(place(source.other), [1, 1]);
  const [input] = links.operands({ run: 0, k: 0 });
  assert.equal(input.other, null);
  assert.match(input.text, /^a, word 1, loaded/);
  const [none] = links.results({ run: 3, k: 0 });
  assert.equal(none.text, "nobody reads sg1.e2");
});

test("values of drives and samples, in the format of who reads", () => {
  const values = new Values(model, () => streams);
  assert.deepEqual(values.driven({ run: 0, k: 0 }, 0)!.lanes, [1, 2, 3, -1]);
  assert.deepEqual(values.sampled({ run: 1, k: 0 }, 0)!.lanes, [1, 2, 3, -1]);
  assert.equal(values.driven({ run: 0, k: 2 }, 0), null, "not known");
  assert.deepEqual(values.driven({ run: 3, k: 0 }, 0)!.raw, [1, 2, 3, 255]);
});

test("formats", () => {
  const bytes = (...list: number[]) => list.map((b) => Uint8Array.of(b));
  const one = (format: string, ...list: number[]) => combine(bytes(...list), format)!.lanes[0];
  assert.equal(one("f32", 0, 0, 0x80, 0xbf), -1);
  assert.equal(one("i32", 0xff, 0xff, 0xff, 0xff), -1);
  assert.equal(one("f16", 0x00, 0x3c), 1);
  assert.equal(one("f16", 0x01, 0x00), 2 ** -24);
  assert.equal(one("f16", 0xff, 0x7b), 65504);
  assert.equal(one("f16", 0x00, 0xfc), -Infinity);
  assert.equal(one("bf16", 0x80, 0x3f), 1);
  assert.equal(one("e4m3", 0x7e), 448);
  assert.equal(one("e5m2", 0x7b), 57344);
  assert.ok(Number.isNaN(read(0x7f, "e4m3")));
  assert.equal(combine(bytes(1, 2), "f32")!.format, "u16", "a format of another size does not fit");
  assert.equal(show(-0, "f32"), "-0");
  assert.equal(show(1 / 3, "f32"), "0.333333");
});
