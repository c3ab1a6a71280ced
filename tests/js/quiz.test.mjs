/* Questions made from numbers, and their grading. What the chapters ask is checked in tests/contracts. */

import assert from "node:assert/strict";
import test from "node:test";

import {Patchwork} from "./page.mjs";

const {fill, makeQuestion, grade, makeRandom} = Patchwork;

const QUESTION = {
  question: "What is {a} + {b}?",
  options: [
    {text: "{sum}", correct: true, why: "{a} + {b} = {sum}."},
    {text: "{product}", correct: false, why: "That is {a} × {b}."},
    {text: "{a}", correct: false, why: "That leaves {b} out."},
  ],
};
const facts = (a, b) => ({a, b, sum: a + b, product: a * b});

test("numbers are filled in as the page writes them", () => {
  assert.equal(fill("{n} tokens of {kind}", {n: 1234, kind: "text"}), "1,234 tokens of text");
});

test("every seed keeps the one right option, whatever its place", () => {
  const places = new Set();
  for (let seed = 0; seed < 1000; seed += 1) {
    const {question, options} = makeQuestion(QUESTION, facts(3, 4), makeRandom(seed));
    assert.equal(question, "What is 3 + 4?");
    const right = options.filter((option) => option.correct);
    assert.deepEqual(right.map((option) => option.text), ["7"]);
    assert.deepEqual(options.map((option) => option.text).sort(), ["12", "3", "7"]);
    places.add(options.indexOf(right[0]));
  }
  assert.deepEqual([...places].sort(), [0, 1, 2]);
});

test("a wrong option that comes out equal to the right one is not offered", () => {
  const {options} = makeQuestion(QUESTION, facts(2, 2), makeRandom(1));
  assert.deepEqual(options.map((option) => [option.text, option.correct]).sort(), [["2", false], ["4", true]]);
});

test("the score counts first tries", () => {
  assert.equal(grade({}, 4), "4 questions");
  assert.equal(grade({a: true, b: false}, 4), "1 of 2 right at the first try, 2 to go");
  assert.equal(grade({a: true, b: true}, 2), "2 of 2 right at the first try");
});
