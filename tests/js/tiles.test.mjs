/* The simulation of chapter 8 against the counts of the libraries' processors, the same file that patchwork/tilings.py is held to. */
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";

import {loadSimulation, Patchwork} from "./page.mjs";

const sim = loadSimulation("ch08_documents");
const vectors = JSON.parse(readFileSync(new URL("../vectors/tiles.json", import.meta.url), "utf8"));

for (const [name, {layOut}] of Object.entries(sim.tilings)) {
  test(`tiles and tokens: ${name}`, () => {
    for (const {size, counts} of vectors) {
      const {columns, rows, tokens} = layOut(size);
      assert.deepEqual([columns, rows, tokens], counts[name], `${size}`);
    }
  });
}

test("small print: an eightieth of a page of 1,754 pixels, worked by hand", () => {
  const size = [1240, 1754];
  assert.ok(Math.abs(sim.measurePrint(sim.tilings.internvl.layOut(size), size) - (3 * 448) / 80) < 1e-9);
  assert.ok(Math.abs(sim.measurePrint(sim.tilings.llava.layOut(size), size) - (336 / 1240) * (1754 / 80)) < 1e-9);
});

test("the same number means something else in another place", () => {
  const places = [[0.5, 0.95], [0.77, 0.42], [0.5, 0.42], [0.2, 0.78], [0.85, 0.6], [0.12, 0.65]];
  assert.deepEqual(places.map((place) => sim.classify(place).kind), ["footer", "cell", "cell", "caption", "number", "axis"]);
  assert.notEqual(sim.classify(places[1]).meaning, sim.classify(places[2]).meaning);
});

test("the quiz never asks for a page of one tile", () => {
  for (let seed = 0; seed < 300; seed += 1) assert.ok(sim.facts(sim.draw(Patchwork.makeRandom(seed))).tiles > 1);
  assert.ok(sim.facts({size: [100, 100]}).tiles > 1);
});
