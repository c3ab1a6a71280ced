/* What the trace panel computes from a recording, against sums done by hand. */

import assert from "node:assert/strict";
import test from "node:test";

import {loadSimulation, Patchwork} from "./page.mjs";

const {mixColour, pickMap, rankTokens, percent} = Patchwork;

const step = (maps, text = "a") => ({id: 7, text, probability: 0.5, candidates: [], shares: [[0.5, 0.25, 0.25], [0.7, 0.2, 0.1]], lens: [], maps});
const trace = {
  map_layers: [0, 3], prompt_tokens: 12, image_tokens: 4, replaced: 4, layers: 2, width: 8,
  steps: [step([[0.1, 0.2], [0.3, 0.6]]), step([[0.5, 0], [0.1, 0]], " b")],
  stages: ["tower", "projector", "embed", "prefill", "decode", "head"].map((name) =>
    ({name, title: name, calls: 1, input_shape: [12, 8], output_shape: [12, 8], parameters: 3, seconds: 0.25})),
};

test("colours are viridis, as the server draws them", () => {
  assert.deepEqual([0, 0.5, 1, -3, 9].map(mixColour), ["#440154", "#21918c", "#fde725", "#440154", "#fde725"]);
});

test("a map is one layer's, or the mean of those that were kept", () => {
  assert.deepEqual(pickMap(trace.steps[0], 3, trace.map_layers), [0.3, 0.6]);
  assert.deepEqual(pickMap(trace.steps[0], null, trace.map_layers).map((value) => value.toFixed(6)), ["0.200000", "0.400000"]);
});

test("a patch's tokens come with the greatest first", () => {
  assert.deepEqual(rankTokens(trace, 0, 0).map(({step: index}) => index), [1, 0]);
  assert.deepEqual(rankTokens(trace, 1, null).map(({step: index}) => index), [0, 1]);
});

test("small shares keep a decimal", () => {
  assert.deepEqual([0.5, 0.0312, 1, 0].map(percent), ["50 %", "3.1 %", "100 %", "0.0 %"]);
});

const forward = loadSimulation("ch05_llava");

test("a recorded trace becomes boxes, one for each token of the answer", () => {
  const boxes = forward.boxesOfTrace(trace);
  assert.deepEqual(boxes.filter((box) => box.id.startsWith("token")).map((box) => box.title), ["a", "b"]);
  assert.match(boxes.at(-1).say, /60 % of its attention on the picture/); // (50 % + 70 %) / 2
  assert.match(boxes.find((box) => box.id === "decoder").say, /250\.0 ms/);
  assert.equal(boxes.find((box) => box.id === "prompt").shape, "[8]");
});

test("every box is made from boxes that come before it", () => {
  for (const model of ["7b", "13b", "tiny"]) {
    const boxes = forward.listBoxes(Patchwork.llava.getModel(model), 5);
    boxes.forEach((box, index) => box.from.forEach((id) => assert.ok(boxes.findIndex((one) => one.id === id) < index)));
  }
});

test("the penultimate layer of CLIP ViT-L is the twenty-third", () => {
  assert.equal(Patchwork.llava.getModel("7b").towerLayer, 23);
});
