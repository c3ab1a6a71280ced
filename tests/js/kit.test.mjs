/* The pure half of the drawing kit, against values worked out by hand. */

import assert from "node:assert/strict";
import test from "node:test";

import {Patchwork} from "./page.mjs";

const {clamp, mix, during, formatCount, formatTimes, splitTokens, makeRandom, pick, shuffle} = Patchwork;

test("clamp and mix", () => {
  assert.deepEqual([clamp(-1, 0, 5), clamp(3, 0, 5), clamp(9, 0, 5)], [0, 3, 5]);
  assert.deepEqual([mix(10, 20, 0), mix(10, 20, 0.25), mix(10, 20, 1)], [10, 12.5, 20]);
});

test("during is flat outside, rises within, and is half way in the middle", () => {
  assert.deepEqual([during(0, 1, 3), during(2, 1, 3), during(4, 1, 3)], [0, 0.5, 1]);
  const steps = Array.from({length: 21}, (_, index) => during(index / 20, 0, 1));
  assert.ok(steps.every((value, index) => index === 0 || value >= steps[index - 1]));
});

test("counts are written with commas, then in words", () => {
  const written = [
    [0, "0"], [999, "999"], [1000, "1,000"], [9_999_999, "9,999,999"], [10_000_000, "10.0 million"],
    [303_507_456, "303.5 million"], [9_999_000_000, "9999.0 million"], [10_000_000_000, "10.0 billion"],
    [161_800_000_000, "161.8 billion"], [1.24e13, "12.4 trillion"],
  ];
  for (const [value, words] of written) assert.equal(formatCount(value), words);
});

test("multiples keep three digits and no idle zeros", () => {
  const written = [[1, "1×"], [0.5, "0.5×"], [12.34, "12.3×"], [250.2, "250×"], [100, "100×"], [999.6, "1000×"], [1234, "1,234×"], [2.5e7, "25.0 million×"], [0, "0×"]];
  for (const [value, words] of written) assert.equal(formatTimes(value), words);
});

test("a sentence is cut at spaces and signs", () => {
  assert.deepEqual(splitTokens("What's in the picture?"), ["What's", "in", "the", "picture", "?"]);
  assert.deepEqual(splitTokens("Größe: 12 px"), ["Größe", ":", "12", "px"]);
  assert.deepEqual(splitTokens("  "), []);
});

test("a seed decides everything that follows", () => {
  const draw = (seed) => { const random = makeRandom(seed); return Array.from({length: 5}, random); };
  assert.deepEqual(draw(7), draw(7));
  assert.notDeepEqual(draw(7), draw(8));
  const many = Array.from({length: 20_000}, makeRandom(1));
  assert.ok(many.every((value) => value >= 0 && value < 1));
  assert.ok(Math.abs(many.reduce((sum, value) => sum + value, 0) / many.length - 0.5) < 0.01);
});

test("pick takes from the list, shuffle loses nothing and leaves the list alone", () => {
  const list = ["a", "b", "c", "d"];
  const random = makeRandom(3);
  assert.ok(Array.from({length: 50}, () => pick(list, random)).every((one) => list.includes(one)));
  const firsts = new Set();
  for (let seed = 0; seed < 50; seed += 1) {
    const mixed = shuffle(list, makeRandom(seed));
    assert.deepEqual([...mixed].sort(), list);
    firsts.add(mixed[0]);
  }
  assert.equal(firsts.size, 4);
  assert.deepEqual(list, ["a", "b", "c", "d"]);
});

test("whoever waits for a simulation is told once it is there", () => {
  const told = [];
  Patchwork.whenRegistered("later", (sim) => told.push(sim.state));
  const start = {size: 1};
  Patchwork.register("later", {start, facts: () => ({}), draw: () => ({})});
  Patchwork.whenRegistered("later", (sim) => told.push(sim.state));
  assert.deepEqual(told, [{size: 1}, {size: 1}]);
  assert.notEqual(told[0], start);
});
