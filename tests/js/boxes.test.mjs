/* The simulation of chapter 7 against the numbers of the libraries' processors, the same file that patchwork/boxes.py is held to. */
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";

import {loadSimulation, Patchwork} from "./page.mjs";

const sim = loadSimulation("ch07_grounding");
const vectors = JSON.parse(readFileSync(new URL("../vectors/boxes.json", import.meta.url), "utf8"));

const framed = (name, {size, resized}) => (sim.conventions[name].frame === "square" ? [Math.max(...size), Math.max(...size)] : sim.conventions[name].frame === "resized" ? resized : size);

vectors.names.forEach((name, place) =>
  test(`a thousand pictures: ${name}`, () => {
    for (const {size, resized, box, numbers, back} of vectors.cases) {
      const text = sim.writeBox(name, box, size, resized);
      assert.equal(text, sim.conventions[name].format(numbers[place]));
      const read = sim.readBox(name, text, size, resized);
      read.forEach((value, edge) => {
        if (back) assert.ok(Math.abs(value - back[place][edge]) <= (name === "florence2" ? 1 : 0.0051), `${text} → ${read}`);
        const side = framed(name, {size, resized})[edge % 2];
        const allowed = name === "qwen25_pixels" ? size[edge % 2] / resized[edge % 2] : vectors.step[name] * side;
        assert.ok(Math.abs(value - box[edge]) <= Math.max(1, allowed), `${text} → ${read}, was ${box}`);
      });
    }
  }),
);

test("Qwen's resizing", () => {
  for (const {size, resized} of vectors.cases) assert.deepEqual(sim.resizeToMultiple(size, 28, 56 * 56, 28 * 28 * 1280), resized);
});

test("the numbers say the same in the written forms of the papers", () => {
  const written = Object.fromEntries(Object.keys(sim.conventions).map((name) => [name, sim.writeBox(name, [64, 48, 320, 240], [640, 480], [644, 476])]));
  assert.equal(written.shikra, "[0.100,0.200,0.500,0.500]");
  assert.equal(written.thousandths, "<|box_start|>(100,100),(500,500)<|box_end|>");
  assert.equal(written.paligemma, "<loc0102><loc0102><loc0512><loc0512>");
  assert.equal(written.qwen25_pixels, '{"bbox_2d": [64, 48, 322, 238]}');
  assert.equal(written.tiny_percent, "[10 20 50 50]");
});

test("a wrong reading moves the box, and the overlap says how far", () => {
  const state = {size: [640, 480], box: [64, 48, 320, 240], name: "paligemma", reading: "swapped"};
  const known = sim.measure({...state, box: [64, 240, 320, 432]});
  assert.ok(known.back[0] > 300 && known.overlap < 0.5);
  assert.ok(sim.measure({...state, reading: "right"}).overlap > 0.98);
  assert.deepEqual(sim.misread("pixels", "thousandths", "(100,200),(300,400)", [640, 480], [644, 476]), [100, 200, 300, 400]);
  assert.deepEqual(sim.misread("frame", "shikra", "[0.100,0.200,0.500,0.500]", [640, 480], [644, 476]), [64, 96, 320, 240]);
  for (const name of Object.keys(sim.conventions)) assert.equal(sim.measure({...state, name, reading: "right"}).back.length, 4);
});

test("overlap of two boxes, worked by hand", () => {
  assert.equal(Patchwork.measureOverlap([0, 0, 10, 10], [5, 0, 15, 10]), 50 / 150);
  assert.equal(Patchwork.measureOverlap([0, 0, 10, 10], [20, 20, 30, 30]), 0);
});

test("a drawn box stays on the picture and is never too small to be seen", () => {
  assert.deepEqual(Patchwork.settleBox([90, 80, -5, 20], [100, 100]), [0, 20, 90, 80]);
  assert.deepEqual(Patchwork.settleBox([100, 100, 100, 100], [100, 100]), [96, 96, 100, 100]);
  assert.deepEqual(Patchwork.shiftBox([10, 10, 30, 20], 500, -500, [100, 100]), [80, 0, 100, 10]);
});

test("the quiz's four numbers always differ", () => {
  for (let seed = 0; seed < 300; seed += 1) {
    const {thousandth, percent, bins, column} = sim.facts(sim.draw(Patchwork.makeRandom(seed)));
    assert.equal(new Set([thousandth, percent, bins, column]).size, 4);
  }
});
