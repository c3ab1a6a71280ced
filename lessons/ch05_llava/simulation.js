/* One forward pass of LLaVA: which tensor each part puts out, and from what. Shapes follow a real configuration, or a trace that the reader has recorded below. */

const {clamp, formatCount, splitTokens, find, pick, llava} = Patchwork;

const LONGEST = 40;
const SHOWN = 16; // little squares in a box: enough to see which kinds of tokens stand there

const ARROWS = {embed: "↗", join: "↵"}; // where the way goes on, when not to the right

const readWords = (question) => splitTokens(question).slice(0, LONGEST);
const shape = (...sizes) => `[${sizes.join(", ")}]`;

/* The boxes in the order in which they can be computed. `from`: the boxes whose tensors go in. */
function listBoxes(m, words, answer = "a token") {
  const parts = llava.countParts(m);
  const row = m.patches + words;
  return [
    {id: "picture", kind: "visual", title: "Picture", shape: shape(3, m.side, m.side), from: [], parameters: 0,
      say: `Scaled to ${m.side} × ${m.side} pixels in three colours.`},
    {id: "tower", kind: "visual", title: "Vision tower", shape: shape(m.patches + 1, m.towerWidth), from: ["picture"], parameters: parts.tower, tokens: [["visual", m.patches + 1]],
      say: `${m.grid} × ${m.grid} patches of ${m.patch} pixels and one CLS token go through ${m.towerLayers} layers; the output of layer ${m.towerLayer} is taken.`},
    {id: "select", kind: "visual", title: "Drop CLS", shape: shape(m.patches, m.towerWidth), from: ["tower"], parameters: 0, tokens: [["visual", m.patches]],
      say: `The CLS token is left behind: ${formatCount(m.patches)} patch vectors of width ${formatCount(m.towerWidth)} remain.`},
    {id: "projector", kind: "visual", title: "Projector", shape: shape(m.patches, m.width), from: ["select"], parameters: parts.projector, tokens: [["visual", m.patches]],
      say: `Two linear layers with an activation between them: the only part that LLaVA adds. Width ${formatCount(m.towerWidth)} becomes ${formatCount(m.width)}.`},
    {id: "prompt", kind: "text", title: "Your question", shape: shape(words), from: [], parameters: 0, tokens: [["text", words]],
      say: `${words} tokens, each a number out of ${formatCount(m.vocabulary)}. (Cut at spaces and signs here; a real tokenizer and its chat template add some.)`},
    {id: "embed", kind: "text", title: "Word table", shape: shape(words, m.width), from: ["prompt"], parameters: parts.embed, tokens: [["text", words]],
      say: `Each token looks up its own row of the table: a vector of width ${formatCount(m.width)}.`},
    {id: "join", kind: "visual", title: "Join", shape: shape(row, m.width), from: ["projector", "embed"], parameters: 0, tokens: [["visual", m.patches], ["text", words]],
      say: `The patches take the places of the placeholders: ${formatCount(m.patches)} + ${words} = ${formatCount(row)} vectors in one row.`},
    {id: "decoder", kind: "visual", title: "Language model", shape: shape(row, m.width), from: ["join"], parameters: parts.decoder, tokens: [["visual", m.patches], ["text", words]],
      say: `${m.layers} layers; in each, every place looks at all places before it, patches and words alike.`},
    {id: "head", kind: "output", title: "Head", shape: shape(m.vocabulary), from: ["decoder"], parameters: parts.head,
      say: `Only the last place counts: its vector becomes ${formatCount(m.vocabulary)} scores, one for each token there is.${m.tied ? " The head is the word table once more, so it has no parameters of its own." : ""}`},
    {id: "token", kind: "output", title: "Next token", shape: answer, from: ["head"], parameters: 0, tokens: [["output", 1]],
      say: "The best token is written down, joins the row as one more place, and the language model goes on from there: one step for each token, until it writes the end token."},
  ];
}

/* What the quiz asks for. */
function facts({model, question}) {
  const m = llava.getModel(model);
  const words = Math.max(1, readWords(question).length);
  const parts = llava.countParts(m);
  const total = Object.values(parts).reduce((sum, part) => sum + part, 0);
  return {
    name: llava.NAMES[model], side: m.side, patch: m.patch, patches: m.patches, withClass: m.patches + 1, words,
    row: m.patches + words, width: m.width, towerWidth: m.towerWidth, layers: m.layers, vocabulary: m.vocabulary,
    half: m.grid * 2, product: m.patches * words, projector: parts.projector, tower: parts.tower, total,
    oneLayer: m.towerWidth * m.width + m.width, grid: m.grid,
  };
}

function draw(random) {
  const count = 3 + Math.floor(random() * 20);
  return {model: pick(["7b", "13b", "tiny"], random), question: Array.from({length: count}, (_, index) => `word${index}`).join(" ")};
}

/* A recorded trace as boxes: the shapes that hooks saw, and one more step for each token of the answer. */
function boxesOfTrace(trace) {
  const stages = Object.fromEntries(trace.stages.map((stage) => [stage.name, stage]));
  const words = trace.prompt_tokens - trace.image_tokens;
  const timed = (stage, say) => `${say} Recorded: ${(1000 * stage.seconds).toFixed(1)} ms.`;
  const first = [
    {id: "picture", kind: "visual", title: "Picture", shape: shape(...stages.tower.input_shape), from: [], parameters: 0, say: "What the processor made of the picture."},
    {id: "tower", kind: "visual", title: "Vision tower", shape: shape(...stages.tower.output_shape), from: ["picture"], parameters: stages.tower.parameters, tokens: [["visual", stages.tower.output_shape.at(-2)]], say: timed(stages.tower, "The tower's last output; the projector may be given an earlier layer.")},
    {id: "projector", kind: "visual", title: "Projector", shape: shape(...stages.projector.output_shape), from: ["tower"], parameters: stages.projector.parameters, tokens: [["visual", trace.image_tokens]], say: timed(stages.projector, `It was given ${shape(...stages.projector.input_shape)}.`)},
    {id: "prompt", kind: "text", title: "Prompt", shape: shape(words), from: [], parameters: 0, tokens: [["text", words]], say: `${words} tokens of text, those of the chat template included.`},
    {id: "embed", kind: "text", title: "Word table", shape: shape(words, trace.width), from: ["prompt"], parameters: stages.embed.parameters, tokens: [["text", words]], say: timed(stages.embed, "All its calls together.")},
    {id: "join", kind: "visual", title: "Join", shape: shape(...stages.prefill.input_shape), from: ["projector", "embed"], parameters: 0, tokens: [["visual", trace.image_tokens], ["text", words]], say: `${trace.replaced} of ${trace.image_tokens} placeholders held the projector's output when the language model read them.`},
    {id: "decoder", kind: "visual", title: "Language model", shape: shape(...stages.prefill.output_shape), from: ["join"], parameters: stages.prefill.parameters, tokens: [["visual", trace.image_tokens], ["text", words]], say: timed(stages.prefill, `${trace.layers} layers read the prompt.`)},
    {id: "head", kind: "output", title: "Head", shape: shape(stages.head.output_shape.at(-1)), from: ["decoder"], parameters: stages.head.parameters, say: timed(stages.head, "All its calls together.")},
  ];
  const answer = trace.steps.map((step, index) => {
    const shares = [0, 1, 2].map((part) => step.shares.reduce((sum, layer) => sum + layer[part], 0) / step.shares.length);
    const [picture, prompt, own] = shares.map((share) => `${Math.round(100 * share)} %`);
    return {id: `token${index}`, kind: "output", title: step.text.trim() || "end", shape: `token ${index + 1}`, from: ["head"], parameters: 0, tokens: [["output", 1]], say: `${(100 * step.probability).toFixed(1)} % likely. On average over the layers it put ${picture} of its attention on the picture, ${prompt} on the prompt, ${own} on its own words.`};
  });
  return [...first, ...answer];
}

function mountForward(root, sim) {
  const {state} = sim;
  const map = find(root, "map");
  const question = find(root, "question");
  const model = find(root, "model");
  const replay = find(root, "replay");
  let [boxes, time, looked, trace, replaying] = [[], 0, null, null, false];
  question.value = state.question;
  model.value = state.model;

  const drawTokens = (tokens = []) => {
    const total = tokens.reduce((sum, [, count]) => sum + count, 0);
    const left = Math.max(0, SHOWN - tokens.length);
    let number = 0;
    return tokens.map(([kind, count]) => Array.from({length: Math.min(count, 1 + Math.round((left * count) / total))}, () => `<i data-kind="${kind}" style="--n:${number++}"></i>`).join("")).join("");
  };

  function build() {
    boxes = replaying ? boxesOfTrace(trace) : listBoxes(llava.getModel(state.model), facts(state).words);
    const buttons = boxes.map((box, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "pw-forward-box";
      Object.assign(button.dataset, {box: box.id, kind: box.kind});
      if (index === boxes.length - 1 || box.id in ARROWS) button.dataset.arrow = ARROWS[box.id] || "";
      const title = document.createElement("b");
      title.textContent = box.title;
      const size = document.createElement("code");
      size.textContent = box.shape;
      const tokens = document.createElement("span");
      tokens.className = "pw-forward-tokens";
      tokens.setAttribute("aria-hidden", "true");
      tokens.innerHTML = drawTokens(box.tokens);
      button.append(title, size, tokens);
      button.addEventListener("mouseenter", () => look(box.id));
      button.addEventListener("mouseleave", () => look(null));
      button.addEventListener("focus", () => look(box.id));
      button.addEventListener("blur", () => look(null));
      button.addEventListener("click", () => clock.seek(markOf(index)));
      return button;
    });
    const answer = document.createElement("div");
    answer.className = "pw-forward-answer";
    answer.append(...buttons.filter((_, index) => /^token\d/.test(boxes[index].id)));
    map.toggleAttribute("data-replay", replaying);
    map.replaceChildren(...buttons.filter((button) => !answer.contains(button)), answer);
    tell();
  }

  const markOf = (index) => (boxes.length > 1 ? index / (boxes.length - 1) : 0);
  const now = () => clamp(Math.floor(time * (boxes.length - 1) + 1e-6), 0, boxes.length - 1);

  /* Hovering or focusing a box: its tensor, its inputs. */
  function look(id) {
    looked = id;
    tell();
  }

  function tell() {
    const current = now();
    const box = boxes.find((one) => one.id === looked) || boxes[current];
    map.querySelectorAll(".pw-forward-box").forEach((button, index) => {
      button.dataset.state = index < current ? "done" : index === current ? "now" : "ahead";
      button.toggleAttribute("data-feeds", box.from.includes(boxes[index].id));
      button.setAttribute("aria-pressed", String(boxes[index].id === looked));
      button.setAttribute("aria-label", `${boxes[index].title}, ${boxes[index].shape}`);
    });
    find(root, "say").textContent = `${box.title}: ${box.say}`;
    const from = box.from.map((id) => boxes.find((one) => one.id === id)).map((one) => `${one.title} ${one.shape}`);
    const rows = [["puts out", box.shape], ["made from", from.join(" and ") || "nothing before it"], ["parameters", formatCount(box.parameters)]];
    find(root, "facts").replaceChildren(...rows.map(([name, value]) => {
      const pair = document.createElement("div");
      const [term, words] = [document.createElement("dt"), document.createElement("dd")];
      [term.textContent, words.textContent] = [name, value];
      pair.append(term, words);
      return pair;
    }));
  }

  const clock = Patchwork.makeClock(root, {seconds: 18, marks: Array.from({length: 40}, (_, index) => (index + 1) / 9), onTime: (share) => { time = share; if (boxes.length) tell(); }});
  build();
  clock.show();

  const step = (by) => clock.seek(markOf(clamp(now() + by, 0, boxes.length - 1)));
  root.addEventListener("keydown", (event) => {
    if (event.target.closest("input, select")) return;
    const move = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
    if (move) step(move);
    else if (event.key === " " && !event.target.closest("button")) find(root, "play").click();
    else return;
    event.preventDefault();
  });
  const restart = () => { build(); clock.seek(0); };
  question.addEventListener("input", () => { state.question = question.value; replaying = false; build(); });
  model.addEventListener("change", () => { state.model = model.value; replaying = false; restart(); });
  replay.addEventListener("click", () => { replaying = true; restart(); });
  document.addEventListener("pw-trace", (event) => {
    trace = event.detail;
    replay.disabled = false;
    replay.title = "";
  });
  replay.title = "Record one with the live demo Trace in this chapter first";
}

Patchwork.register("llava", {start: {model: "7b", question: "What is in the picture?"}, facts, draw, mount: mountForward, listBoxes, boxesOfTrace});
