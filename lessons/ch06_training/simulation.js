/* The two stages of training: what is frozen, what trains, and the memory of weights, gradients and optimizer. */

const {formatCount, find, pick, llava} = Patchwork;

/* Bytes a parameter takes. Mixed precision keeps a 32-bit copy of what trains beside the 16-bit one that computes;
   gradients and the two running means of AdamW are 32-bit. */
const BYTES = {
  fp32: {frozen: 4, weights: 4},
  mixed: {frozen: 2, weights: 6},
};
const GRADIENT = 4;
const OPTIMIZER = 8;
/* QLoRA's base: 4 bits, an 8-bit constant for 64 weights, a 32-bit one for 256 of those constants. */
const NF4 = (4 + 8 / 64 + 32 / (64 * 256)) / 8;

const SAY = {
  1: "Stage 1, feature alignment: pictures with their captions. Only the projector learns, to put patches where the frozen language model can read them.",
  full: "Stage 2, instruction tuning: the projector and the whole language model learn from conversations. The vision tower stays as it is.",
  lora: "Stage 2 with LoRA: the language model's matrices are frozen too. Two thin matrices beside each of them learn in their place.",
  qlora: "Stage 2 with QLoRA: as LoRA, and the frozen matrices are kept in 4 bits. They are unpacked whenever they are multiplied.",
};

/* The parts: {id, title, parameters, trainable, bytes a frozen parameter takes}. */
function listParts({model, stage, precision, method, rank}) {
  const m = llava.getModel(model);
  const counts = llava.countParts(m);
  const frozen = BYTES[precision].frozen;
  const matrices = m.layers * llava.listMatrices(m).reduce((sum, [from, to]) => sum + from * to, 0);
  const language = counts.embed + counts.decoder + counts.head;
  const adapted = stage === 2 && method !== "full";
  const parts = [
    {id: "tower", title: "Vision tower", parameters: counts.tower, trainable: false, bytes: counts.tower * frozen},
    {id: "projector", title: "Projector", parameters: counts.projector, trainable: true, bytes: counts.projector * BYTES[precision].weights},
  ];
  const full = stage === 2 && method === "full";
  const packed = adapted && method === "qlora" ? matrices * NF4 + (language - matrices) * frozen : language * frozen;
  parts.push({id: "language", title: "Language model", parameters: language, trainable: full, bytes: full ? language * BYTES[precision].weights : packed});
  if (adapted) {
    const adapters = llava.countAdapters(m, rank);
    parts.push({id: "adapters", title: `Adapters, rank ${rank}`, parameters: adapters, trainable: true, bytes: adapters * BYTES[precision].weights});
  }
  return parts;
}

/* Every digit: two parts may differ by less than a rounded count shows. */
const exact = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

function facts(state) {
  const parts = listParts(state);
  const sum = (list, value) => list.reduce((total, one) => total + value(one), 0);
  const learning = parts.filter((part) => part.trainable);
  const trainable = sum(learning, (part) => part.parameters);
  const total = sum(parts, (part) => part.parameters);
  const [frozenBytes, trainableBytes] = [false, true].map((kind) => sum(parts.filter((part) => part.trainable === kind), (part) => part.bytes));
  const [gradientBytes, optimizerBytes] = [trainable * GRADIENT, trainable * OPTIMIZER];
  const tower = parts[0].parameters;
  const projector = parts[1].parameters;
  return {
    name: llava.NAMES[state.model], stage: state.stage, rank: state.rank,
    trainable, total, frozen: total - trainable, tower, projector, both: tower + projector, language: parts[2].parameters,
    frozenBytes, trainableBytes, weightBytes: frozenBytes + trainableBytes, gradientBytes, optimizerBytes,
    totalBytes: frozenBytes + trainableBytes + gradientBytes + optimizerBytes,
    share: trainable / total,
    optimizerKilobytes: optimizerBytes / 1e3, stateKilobytes: (trainable * 4) / 1e3, allKilobytes: (total * OPTIMIZER) / 1e3,
    exactTrainable: exact(trainable), exactTotal: exact(total), exactFrozen: exact(total - trainable), exactBoth: exact(tower + projector), exactTower: exact(tower),
  };
}

function draw(random) {
  const stage = 1 + Math.floor(2 * random());
  return {
    model: pick(["7b", "13b", "tiny"], random), stage, precision: pick(["mixed", "fp32"], random),
    method: pick(["full", "lora", "qlora"], random), rank: 2 ** (3 + Math.floor(random() * 6)),
  };
}

const formatBytes = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : bytes >= 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e3).toFixed(1)} kB`);
const formatShare = (share) => `${(100 * share).toPrecision(share < 0.1 ? 2 : 3)} %`;

function mountStages(root, sim) {
  const {state} = sim;
  const rank = root.querySelector("[data-name=rank]");

  const make = (tag, words, data = {}) => {
    const element = document.createElement(tag);
    element.textContent = words;
    Object.assign(element.dataset, data);
    return element;
  };

  function drawParts() {
    find(root, "parts").replaceChildren(...listParts(state).map((part) => {
      const box = make("div", "", {trainable: part.trainable, stagePart: part.id});
      box.className = "pw-stage-part";
      box.append(make("em", part.trainable ? "● trainable" : "■ frozen"), make("b", part.title), make("span", formatCount(part.parameters)));
      return box;
    }));
  }

  function drawMemory(known) {
    const rows = [
      ["Weights", [[known.frozenBytes, false], [known.trainableBytes, true]]],
      ["Gradients", [[known.gradientBytes, true]]],
      ["Optimizer", [[known.optimizerBytes, true]]],
    ];
    find(root, "memory").replaceChildren(...rows.map(([name, pieces]) => {
      const row = make("div", "");
      row.className = "pw-stage-row";
      const track = make("span", "");
      track.className = "pw-stage-track";
      pieces.forEach(([bytes, trainable]) => {
        const bar = make("i", "", {trainable});
        bar.style.width = `${(100 * bytes) / known.totalBytes}%`;
        track.append(bar);
      });
      row.append(make("span", name), track, make("b", formatBytes(pieces.reduce((sum, [bytes]) => sum + bytes, 0))));
      return row;
    }));
  }

  function tell() {
    const known = facts(state);
    const key = state.stage === 1 ? 1 : state.method;
    find(root, "method").disabled = state.stage === 1;
    rank.disabled = state.stage === 1 || state.method === "full";
    drawParts();
    drawMemory(known);
    find(root, "say").textContent = SAY[key];
    find(root, "trainable").textContent = formatCount(known.trainable);
    find(root, "share").textContent = formatShare(known.share);
    find(root, "total").textContent = formatBytes(known.totalBytes);
  }

  root.querySelectorAll("input[name=pw-stage]").forEach((input) => {
    input.checked = Number(input.value) === state.stage;
    input.addEventListener("change", () => { state.stage = Number(input.value); tell(); });
  });
  for (const name of ["model", "precision", "method"]) {
    find(root, name).value = state[name];
    find(root, name).addEventListener("change", () => { state[name] = find(root, name).value; tell(); });
  }
  Patchwork.bindSliders(root, (_, value) => { state.rank = 2 ** value; tell(); }, {rank: (value) => String(2 ** value)});
}

Patchwork.register("training", {start: {model: "7b", stage: 1, precision: "mixed", method: "full", rank: 128}, facts, draw, mount: mountStages, listParts});
