/* Chapter 2's steps and chapter 3's rows, against sums done by hand. tests/contracts compares them with the engine. */

import assert from "node:assert/strict";
import test from "node:test";

import {loadSimulation} from "./page.mjs";

const align = loadSimulation("ch02_bridge");
const fusion = loadSimulation("ch03_fusion");

const near = (one, other, by) => assert.ok(Math.abs(one - other) < by, `${one} is not near ${other}`);

test("align: the slope is that of the score", () => {
  for (let angle = 0; angle < 360; angle += 17) {
    const [below, above] = [-0.01, 0.01].map((by) => align.score({...align.start, angle: angle + by}));
    near(align.slope({...align.start, angle}), (above - below) / 0.02, 1e-6);
  }
});

test("align: steps climb to the best angle from anywhere but the very bottom", () => {
  for (const wrong of [false, true]) {
    const best = align.findBest({...align.start, wrong});
    for (let by = 10; by < 360; by += 25) {
      const state = {...align.start, wrong, angle: best.angle + 185 + by};
      for (let count = 0; count < 200; count += 1) {
        const before = align.score(state);
        state.angle = align.step(state);
        assert.ok(align.score(state) > before - 1e-9);
      }
      near(align.score(state), best.score, 1e-6);
    }
  }
});

test("align: wrong pairs leave a poor best", () => {
  assert.ok(align.findBest(align.start).score > 0.99);
  assert.ok(align.findBest({...align.start, wrong: true}).score < 0.6);
});

test("align: LLaVA-1.5-7B's bridge", () => {
  assert.equal(align.countBridge({vision: 1024, language: 4096, merge: 1}).mlp, 20979712);
  assert.deepEqual(align.countBridge({vision: 768, language: 576, merge: 4}).places, 36);
});

test("fusion: LLaVA's row, a resampled one, and text alone", () => {
  const rows = ["concatenated", "interleaved", "resampled", "crossed"].map((way) => fusion.facts({...fusion.start, way}).row);
  assert.deepEqual(rows, [640, 640, 128, 64]);
});

test("fusion: without a picture, cross-attention costs nothing", () => {
  const {plain} = fusion.facts(fusion.start);
  const {width, hidden, layers} = fusion.MODELS.large;
  assert.equal(plain, layers * (4 * 64 * width * width + 2 * 64 * 64 * width + 3 * 64 * width * hidden));
});

test("fusion: a larger picture lengthens two rows of four", () => {
  const grow = (way) => fusion.facts({...fusion.start, way, side: 672}).row - fusion.facts({...fusion.start, way}).row;
  assert.deepEqual(["concatenated", "interleaved", "resampled", "crossed"].map(grow), [1728, 1728, 0, 0]);
});
