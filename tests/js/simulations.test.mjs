/* What chapters 0 and 1 count, against sums done by hand. tests/contracts compares them with the engine as well. */

import assert from "node:assert/strict";
import test from "node:test";

import {loadSimulation} from "./page.mjs";

const merging = loadSimulation("ch00_modalities");
const patchify = loadSimulation("ch01_encoders");

test("merging: 6 × 6 patches and six tokens make a row of 42", () => {
  const {patches, words, total, squared, side} = merging.facts(merging.start);
  assert.deepEqual([patches, words, total, squared, side], [36, 6, 42, 1764, 84]);
});

test("merging: the largest grid is LLaVA-1.5's", () => {
  const {patches, side} = merging.facts({grid: 24, sentence: "Hi"});
  assert.deepEqual([patches, side], [576, 336]);
});

test("merging: an empty sentence is one token, a long one is cut", () => {
  assert.equal(merging.facts({grid: 2, sentence: " "}).words, 1);
  assert.equal(merging.facts({grid: 2, sentence: "a ".repeat(200)}).words, 60);
});

test("patchify: CLIP ViT-L/14 at 224 and at 336 pixels", () => {
  const small = patchify.facts(patchify.start);
  assert.deepEqual([small.grid, small.patches, small.tokens, small.pairs, small.values, small.left, small.relative],
    [16, 256, 257, 66049, 588, 0, 1]);
  const large = patchify.facts({patch: 14, side: 336, cls: true});
  assert.deepEqual([large.grid, large.patches, large.tokens, large.pairs], [24, 576, 577, 332929]);
});

test("patchify: what fits no whole patch is left over", () => {
  const {grid, left} = patchify.facts({patch: 16, side: 250, cls: false});
  assert.deepEqual([grid, left], [15, 10]);
});

test("patchify: half the patch is four times the tokens and sixteen times the pairs", () => {
  const [coarse, fine] = [28, 14].map((patch) => patchify.facts({patch, side: 448, cls: false}));
  assert.equal(fine.tokens, 4 * coarse.tokens);
  assert.equal(fine.pairs, 16 * coarse.pairs);
});

test("numbers drawn for a question are divisible and within the sliders", () => {
  for (const sim of [merging, patchify]) {
    for (let seed = 0; seed < 1000; seed += 1) {
      const known = sim.facts(sim.draw(() => (seed + 0.5) / 1000));
      assert.ok(Object.values(known).every((value) => Number.isFinite(value)));
    }
  }
  const random = globalThis.Patchwork.makeRandom(5);
  for (let time = 0; time < 1000; time += 1) {
    const {patch, side} = patchify.draw(random);
    assert.equal(side % patch, 0);
    assert.ok(side >= 84 && side <= 896);
  }
});
