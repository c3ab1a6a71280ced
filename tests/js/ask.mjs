/* For the tests in Python. JSON in: {folder, states, questions, seeds}. JSON out: what the simulation counts in each
   state, and what the quiz makes of each question: from the start, from each state, from numbers drawn by each seed. */

import {readFileSync} from "node:fs";

import {loadSimulation, Patchwork} from "./page.mjs";

const {folder, states = [], questions = [], seeds = 0} = JSON.parse(readFileSync(0, "utf8"));
const sim = loadSimulation(folder);

const makeAll = (question) => {
  const made = [sim.start, ...states].map((state) => Patchwork.makeQuestion(question, sim.facts(state), Patchwork.makeRandom(1)));
  for (let seed = 0; seed < seeds; seed += 1) {
    const values = sim.facts(sim.draw(Patchwork.makeRandom(seed)));
    made.push(Patchwork.makeQuestion(question, values, Patchwork.makeRandom(seed)));
  }
  return made;
};

process.stdout.write(JSON.stringify({
  id: sim.id,
  start: sim.start,
  names: Object.keys(sim.facts(sim.start)),
  facts: states.map((state) => sim.facts(state)),
  made: Object.fromEntries(questions.map((question) => [question.id, makeAll(question)])),
}));
