/* Chapter 9: what a radar may and may not say, and the bill of a clip, against sums done by hand. */

import assert from "node:assert/strict";
import test from "node:test";

import {loadSimulation} from "./page.mjs";

const sim = loadSimulation("ch09_frontier");
const {AXES, MODELS, SOURCES, BILLS, pickScore, measureArea, arrangeFor, listOrders} = sim;

const list = Object.entries(MODELS).flatMap(([model, {scores}]) => Object.entries(scores).flatMap(([axis, known]) => known.map((one) => ({model, axis, ...one}))));
const state = (changes) => ({...sim.start, ...changes});

test("every score is a percentage of a known benchmark, with a known source and whose it is", () => {
  for (const {axis, score, kind, source} of list) {
    assert.ok(axis in AXES && source in SOURCES && ["independent", "maker", "rival"].includes(kind));
    assert.ok(score > 0 && score < 100);
  }
  const used = new Set(list.map(({source}) => source));
  assert.deepEqual(Object.keys(SOURCES).filter((source) => !used.has(source)), []);
});

test("half of the scores are the makers' own, a quarter a rival's: the lesson says so", () => {
  const share = (kind) => list.filter((one) => one.kind === kind).length / list.length;
  assert.equal(Math.round(share("maker") * 10) / 10, 0.5);
  assert.ok(Math.abs(share("rival") - 0.25) < 0.03);
});

test("an independent run is drawn before the maker's number; a choice of one kind leaves the others missing", () => {
  assert.equal(pickScore("claude35", "mathvista", "any").score, 61.6);
  assert.equal(pickScore("claude35", "mathvista", "maker").score, 67.7);
  assert.equal(pickScore("claude35", "docvqa", "maker"), null);
  assert.equal(pickScore("claude35", "docvqa", "any").kind, "rival");
  assert.equal(pickScore("llava15", "chartqa", "any"), null);
});

test("the area of three spokes, by hand, and the same spokes from 50 on", () => {
  const three = {order: ["mmmu", "docvqa", "ocrbench"], models: ["qwen2vl72"]};
  const [a, b, c] = [0.645, 0.965, 0.877];
  assert.ok(Math.abs(measureArea(state(three), "qwen2vl72") - (a * b + b * c + c * a) / 3) < 1e-12);
  const [d, e, f] = [a, b, c].map((score) => (score - 0.5) / 0.5);
  assert.ok(Math.abs(measureArea(state({...three, low: 50}), "qwen2vl72") - (d * e + e * f + f * d) / 3) < 1e-12);
});

test("a missing score leaves no area, neither zero nor a guess", () => {
  assert.equal(measureArea(state({}), "llava15"), null);
  assert.equal(measureArea(state({who: "independent"}), "gpt4o"), null);
  assert.ok(measureArea(state({order: ["mmmu", "mathvista", "ocrbench"]}), "llava15") > 0);
});

test("a score below the beginning of the scale lies in the centre", () => {
  assert.equal(measureArea(state({order: ["mmmu", "mathvista", "ocrbench"], low: 40}), "llava15"), 0);
});

test("the order alone decides whose figure is larger", () => {
  const pair = ["gemini15", "qwen2vl7"];
  const [first, second] = pair.map((model) => {
    const arranged = state({models: pair, order: arrangeFor(state({models: pair}), model)});
    assert.deepEqual([...arranged.order].sort(), [...sim.start.order].sort());
    return measureArea(arranged, "gemini15") / measureArea(arranged, "qwen2vl7");
  });
  assert.ok(first > 1 && second < 1);
});

test("no order is better for a model than the one arranged for it", () => {
  const orders = listOrders(sim.start.order);
  assert.equal(new Set(orders.map(String)).size, 720);
  const rate = (order) => measureArea(state({order}), "gemini15") / measureArea(state({order}), "qwen2vl7");
  assert.equal(rate(arrangeFor(sim.start, "gemini15")), Math.max(...orders.map(rate)));
});

test("a clip of a minute, by each family's rule", () => {
  assert.equal(BILLS.gemini.bill(7).tokens, 1841);
  assert.equal(BILLS.gemini.bill(60).tokens, 15780);
  assert.deepEqual([30, 60, 64, 600].map((seconds) => BILLS.smolvlm2.bill(seconds).tokens), [1920, 3840, 4096, 4096]);
  const {frames, each, tokens} = BILLS.qwen2vl.bill(60);
  assert.deepEqual([frames, each, tokens], [120, 23 * 13, 60 * 23 * 13]);
});

test("Qwen2-VL takes four frames at least, 768 at most, and draws the frames of a long film smaller", () => {
  assert.deepEqual([1, 2, 384, 600].map((seconds) => BILLS.qwen2vl.bill(seconds).frames), [4, 4, 768, 768]);
  assert.ok(BILLS.qwen2vl.bill(82).each === 299 && BILLS.qwen2vl.bill(100).each < 299);
});

test("the scale's question is about a score that lies on it", () => {
  const known = sim.facts(state({models: ["llava15", "qwen2vl72"], low: 60}));
  assert.deepEqual([known.model, known.axis, known.score, known.share, known.above], ["Qwen2-VL-72B", "MMMU", "64.5", "11.3", "4.5"]);
});
