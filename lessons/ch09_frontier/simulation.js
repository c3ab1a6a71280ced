/* Published scores on a radar that may be cut, reordered and rescaled, and what a clip costs in tokens. */

const {clamp, formatCount, find} = Patchwork;
const {floor, ceil, max, min, sqrt, PI, cos, sin} = Math;

// ---------------------------------------------------------------- what was published (data)

/* Every score is a percentage; OCRBench counts to 1,000 and is divided by ten. */
const AXES = {
  mmmu: {name: "MMMU", lines: ["MMMU"], about: "college exams with pictures, validation part"},
  mathvista: {name: "MathVista", lines: ["Math", "Vista"], about: "mathematics with figures, testmini part"},
  docvqa: {name: "DocVQA", lines: ["Doc", "VQA"], about: "questions about scanned pages, test part"},
  chartqa: {name: "ChartQA", lines: ["Chart", "QA"], about: "questions about charts, test part"},
  ocrbench: {name: "OCRBench", lines: ["OCR", "Bench"], about: "reading text in pictures, 1,000 questions"},
  realworld: {name: "RealWorldQA", lines: ["Real", "WorldQA"], about: "photographs: what is where"},
  videomme: {name: "Video-MME", lines: ["Video-", "MME"], about: "questions about films, without subtitles"},
};

/* `key` in the lesson's list of sources; the day is the document's own. */
const SOURCES = {
  vlmevalkit: {name: "VLMEvalKit", date: "Jan 2024", url: "https://github.com/open-compass/VLMEvalKit/tree/493a7e87/results"},
  ocrboard: {name: "OCRBench’s authors", date: "2024", url: "https://huggingface.co/spaces/echo840/ocrbench-leaderboard"},
  llavanext: {name: "LLaVA-NeXT", date: "Jan 2024", url: "https://llava-vl.github.io/blog/2024-01-30-llava-next/"},
  openvlm: {name: "OpenVLM Leaderboard", date: "Jun 2024", url: "https://huggingface.co/blog/KennyUTC/claude3-5"},
  mathvista: {name: "announcement, in MathVista’s news", date: "May, Jun 2024", url: "https://github.com/lupantech/MathVista"},
  videomme: {name: "Video-MME’s authors", date: "Jun 2024", url: "https://arxiv.org/abs/2405.21075"},
  internvl2: {name: "InternVL2-40B’s card", date: "Jul 2024", url: "https://huggingface.co/OpenGVLab/InternVL2-40B"},
  internvlrepo: {name: "InternVL’s news, 32 frames", date: "Jul 2024", url: "https://github.com/OpenGVLab/InternVL"},
  qwen2vl: {name: "Qwen2-VL’s page", date: "Sep 2024", url: "https://github.com/QwenLM/Qwen2-VL/blob/dcc62fea0a69e8feb2b687b63811792ec9f96ab6/README.md"},
  qwen25vl: {name: "Qwen2.5-VL’s page", date: "Jan 2025", url: "https://github.com/QwenLM/Qwen2.5-VL/blob/3b32d7ebeab03cd225b603b53dff1cb6857e0c3f/README.md"},
  smolvlm2: {name: "SmolVLM2-2.2B’s card", date: "Feb 2025", url: "https://huggingface.co/HuggingFaceTB/SmolVLM2-2.2B-Instruct"},
  smolvlm2video: {name: "SmolVLM2-256M’s card", date: "Feb 2025", url: "https://huggingface.co/HuggingFaceTB/SmolVLM2-256M-Video-Instruct"},
  lmmseval: {name: "lmms-eval", date: "Jul 2025", url: "https://github.com/EvolvingLMMs-Lab/lmms-eval/blob/main/docs/lmms-eval-0.4.md"},
};

const KINDS = {independent: "independent", maker: "self-reported", rival: "a rival’s table"};

/* One measurement: score, whose, source. What is not here was not found in any document that we have read. */
const own = (score, source) => ({score, kind: "maker", source});
const rival = (score, source) => ({score, kind: "rival", source});
const free = (score, source) => ({score, kind: "independent", source});

const MODELS = {
  llava15: {name: "LLaVA-1.5-7B", year: 2023, scores: {
    mmmu: [free(36.2, "vlmevalkit")], mathvista: [free(23.6, "vlmevalkit")], ocrbench: [free(29.7, "ocrboard")],
  }},
  llavanext34: {name: "LLaVA-NeXT-34B", year: 2024, scores: {mmmu: [own(51.1, "llavanext")], mathvista: [own(46.5, "llavanext")]}},
  gemini15: {name: "Gemini 1.5 Pro", year: 2024, scores: {
    mmmu: [free(60.6, "openvlm"), rival(58.5, "internvl2")], mathvista: [free(57.7, "openvlm")], docvqa: [rival(86.5, "internvl2")],
    chartqa: [rival(81.3, "internvl2")], ocrbench: [free(75.4, "openvlm")], realworld: [rival(67.5, "internvl2")], videomme: [free(75.0, "videomme")],
  }},
  gpt4t: {name: "GPT-4 Turbo (April)", year: 2024, scores: {
    mmmu: [free(61.7, "openvlm"), rival(63.1, "internvl2")], mathvista: [free(54.7, "openvlm")], docvqa: [rival(87.2, "internvl2")],
    chartqa: [rival(78.1, "internvl2")], ocrbench: [free(65.6, "openvlm"), rival(67.8, "internvl2")], realworld: [rival(68.0, "internvl2")],
  }},
  gpt4o: {name: "GPT-4o (May)", year: 2024, scores: {
    mmmu: [free(69.2, "openvlm"), rival(69.1, "qwen2vl")], mathvista: [free(61.3, "openvlm"), own(63.8, "mathvista")], docvqa: [rival(92.8, "qwen2vl")],
    chartqa: [rival(85.7, "qwen2vl")], ocrbench: [free(73.6, "openvlm")], realworld: [rival(75.4, "qwen2vl")], videomme: [free(71.9, "videomme")],
  }},
  claude35: {name: "Claude 3.5 Sonnet (June)", year: 2024, scores: {
    mmmu: [free(65.9, "openvlm"), rival(68.3, "qwen2vl")], mathvista: [free(61.6, "openvlm"), own(67.7, "mathvista")], docvqa: [rival(95.2, "qwen2vl")],
    chartqa: [rival(90.8, "qwen2vl")], ocrbench: [free(78.8, "openvlm")], realworld: [rival(60.1, "qwen2vl")],
  }},
  internvl40: {name: "InternVL2-40B", year: 2024, scores: {
    mmmu: [own(53.9, "internvl2")], docvqa: [own(93.9, "internvl2")], chartqa: [own(86.2, "internvl2")],
    ocrbench: [own(83.7, "internvl2")], realworld: [own(71.8, "internvl2")], videomme: [own(64.4, "internvlrepo")],
  }},
  qwen2vl7: {name: "Qwen2-VL-7B", year: 2024, scores: {
    mmmu: [own(54.1, "qwen2vl")], mathvista: [own(58.2, "qwen2vl")], docvqa: [own(94.5, "qwen2vl")], chartqa: [own(83.0, "qwen2vl")],
    ocrbench: [own(84.5, "qwen2vl")], realworld: [own(70.1, "qwen2vl")], videomme: [own(63.3, "qwen2vl")],
  }},
  qwen2vl72: {name: "Qwen2-VL-72B", year: 2024, scores: {
    mmmu: [own(64.5, "qwen2vl")], mathvista: [own(70.5, "qwen2vl")], docvqa: [own(96.5, "qwen2vl")], chartqa: [own(88.3, "qwen2vl")],
    ocrbench: [own(87.7, "qwen2vl")], realworld: [own(77.8, "qwen2vl")], videomme: [own(71.2, "qwen2vl")],
  }},
  qwen25vl3: {name: "Qwen2.5-VL-3B", year: 2025, scores: {
    mmmu: [own(53.1, "qwen25vl")], mathvista: [free(61.0, "lmmseval"), own(62.3, "qwen25vl")], docvqa: [own(93.9, "qwen25vl")],
    chartqa: [free(83.4, "lmmseval")], ocrbench: [free(79.1, "lmmseval")], realworld: [free(59.1, "lmmseval")], videomme: [own(61.5, "qwen25vl")],
  }},
  qwen25vl72: {name: "Qwen2.5-VL-72B", year: 2025, scores: {
    mmmu: [own(70.2, "qwen25vl")], mathvista: [own(74.8, "qwen25vl")], docvqa: [own(96.4, "qwen25vl")], videomme: [own(73.3, "qwen25vl")],
  }},
  smolvlm2: {name: "SmolVLM2-2.2B", year: 2025, scores: {
    mmmu: [own(42.0, "smolvlm2")], mathvista: [own(51.5, "smolvlm2")], chartqa: [own(68.8, "smolvlm2")], ocrbench: [own(72.9, "smolvlm2")],
    videomme: [own(52.1, "smolvlm2video")],
  }},
};

/* Why a cell is empty, where there is more to say than that we found nothing. */
const WHY = {
  "internvl40 mathvista": "missing: we found a score, but not the head of its column",
  "smolvlm2 docvqa": "missing: its card gives the validation part, another set of questions",
  "claude35 videomme": "missing: the table that has one may mean the later version of October",
};

// ---------------------------------------------------------------- radar (pure)

const MOST = 4;
const LEAST = 2;
const LEAST_AXES = 3;

/* The score that is drawn: an independent run before the maker's own, that before a rival's table. Null if missing. */
function pickScore(model, axis, who) {
  const known = MODELS[model].scores[axis] || [];
  const order = who === "any" ? Object.keys(KINDS) : [who];
  const found = order.map((kind) => known.find((one) => one.kind === kind)).find(Boolean);
  return found || null;
}

/* Where a score lies between the centre (0) and the rim (1). */
const reach = (score, low) => clamp((score - low) / (100 - low), 0, 1);

const readScores = ({order, who}, model) => order.map((axis) => pickScore(model, axis, who));

/* Neighbours are multiplied, so the order counts. */
const sumWheel = (spokes) => spokes.reduce((sum, spoke, at) => sum + spoke * spokes[(at + 1) % spokes.length], 0) / spokes.length;

/* The figure's share of the whole wheel, 0…1. Null with a gap. */
function measureArea(state, model) {
  const scores = readScores(state, model);
  return scores.includes(null) ? null : sumWheel(scores.map((one) => reach(one.score, state.low)));
}

/* Every order of a wheel's spokes: the first one stays where it is. */
function listOrders([first, ...rest]) {
  const permute = (list) => (list.length < 2 ? [list] : list.flatMap((one, at) => permute([...list.slice(0, at), ...list.slice(at + 1)]).map((more) => [one, ...more])));
  return permute(rest).map((more) => [first, ...more]);
}

/* The order in which this model's figure is largest beside the largest other one. Its own figure must have no gap. */
function arrangeFor(state, model) {
  const whole = state.models.filter((one) => measureArea(state, one) !== null);
  const spokes = Object.fromEntries(whole.map((one) => [one, Object.fromEntries(state.order.map((axis) => [axis, reach(pickScore(one, axis, state.who).score, state.low)]))]));
  const measure = (order, one) => sumWheel(order.map((axis) => spokes[one][axis]));
  const rate = (order) => measure(order, model) / max(1e-9, ...whole.filter((one) => one !== model).map((one) => measure(order, one)));
  return listOrders(state.order).map((order) => [rate(order), order]).reduce((best, one) => (one[0] > best[0] ? one : best))[1];
}

// ---------------------------------------------------------------- the bill (pure)

const CLIP = [640, 360];
const PIXELS = 28 * 28; // of one token of Qwen2-VL: two by two patches of 14 px

/* Qwen2-VL: sides become multiples of 28; too many pixels shrink the frame, too few enlarge it. */
function resizeFrame([width, height], least, most) {
  const round = (value, way) => max(1, way(value / 28)) * 28;
  const sides = [round(width, Math.round), round(height, Math.round)];
  const scale = (limit) => sqrt((width * height) / limit);
  if (sides[0] * sides[1] > most) return [round(width / scale(most), floor), round(height / scale(most), floor)];
  if (sides[0] * sides[1] < least) return [round(width / scale(least), ceil), round(height / scale(least), ceil)];
  return sides;
}

/* Two frames a second, 4 to 768 of them; two frames share their tokens. A long film's frames shrink, to 128 tokens or so. */
function billQwen(seconds) {
  const frames = clamp(2 * seconds, 4, 768);
  const most = max(min(768 * PIXELS, ((24576 * PIXELS) / frames) * 2), floor(128 * PIXELS * 1.05));
  const [width, height] = resizeFrame(CLIP, 128 * PIXELS, most);
  const each = (width * height) / PIXELS;
  return {frames, each, tokens: (frames / 2) * each, how: `2 a second, 768 at most; ${formatCount(each)} tokens for every two, drawn to ${width} × ${height} px`};
}

/* One frame a second and at most 64, each drawn to 512 × 512 px. */
function billSmol(seconds) {
  const frames = min(seconds, 64);
  return {frames, each: 64, tokens: 64 * frames, how: "1 a second, 64 at most; 64 tokens each"};
}

/* One frame a second; a clip of seven seconds was counted as 1,841 tokens. */
function billGemini(seconds) {
  return {frames: seconds, each: 263, tokens: 263 * seconds, how: "1 a second; 263 tokens each"};
}

const BILLS = {
  smolvlm2: {name: "SmolVLM2-256M", bill: billSmol},
  gemini: {name: "Gemini 1.5 Pro", bill: billGemini},
  qwen2vl: {name: "Qwen2-VL", bill: billQwen},
};

// ---------------------------------------------------------------- what the quiz asks

/* A model and a benchmark whose score lies on the scale: of the chosen ones, or else one that always does. */
function pickQuestion({models, order, who, low}) {
  const pairs = models.flatMap((model) => order.map((axis) => ({model, axis, found: pickScore(model, axis, who)})));
  return pairs.find(({found}) => found && found.score > low + 1) || {model: "qwen2vl72", axis: "docvqa", found: pickScore("qwen2vl72", "docvqa", "any")};
}

function facts(state) {
  const {model, axis, found} = pickQuestion(state);
  const share = 100 * reach(found.score, state.low);
  const {frames, each, tokens} = billQwen(state.seconds);
  return {
    model: MODELS[model].name, axis: AXES[axis].name, low: state.low, score: found.score.toFixed(1), share: share.toFixed(1),
    above: (found.score - state.low).toFixed(1), rest: (100 - share).toFixed(1), length: 100 - state.low,
    seconds: state.seconds, frames, pairs: frames / 2, each, total: tokens, unpaired: frames * each, filmed: 30 * state.seconds * each,
  };
}

function draw(random) {
  const models = Patchwork.shuffle(Object.keys(MODELS), random).slice(0, 2);
  const order = Patchwork.shuffle(Object.keys(AXES), random);
  return {models, order, who: "any", low: 10 + 5 * floor(11 * random()), seconds: 5 + floor(75 * random())};
}

// ---------------------------------------------------------------- drawing

const DASHES = [[], [9, 5], [2, 4], [12, 4, 2, 4]];
const FONT = "'IBM Plex Sans', system-ui, sans-serif";
const NAME_FONT = `600 13px ${FONT}`;

/* Circle, square, triangle, diamond: the shape is the model. */
function traceShape(context, index, x, y, size) {
  const corners = [null, [[-1, -1], [1, -1], [1, 1], [-1, 1]], [[0, -1.3], [1.2, 0.9], [-1.2, 0.9]], [[0, -1.4], [1.4, 0], [0, 1.4], [-1.4, 0]]][index];
  context.beginPath();
  if (!corners) context.arc(x, y, size, 0, 2 * PI);
  else corners.forEach(([dx, dy], at) => context[at ? "lineTo" : "moveTo"](x + dx * size, y + dy * size));
  context.closePath();
}

/* Filled: independent. Hollow: the maker's own. Hollow with a dot: a rival's table. */
function paintMark(context, index, [x, y], kind, colour, surface) {
  context.setLineDash([]);
  context.lineWidth = 2;
  context.strokeStyle = colour;
  context.fillStyle = kind === "independent" ? colour : surface;
  traceShape(context, index, x, y, 5);
  context.fill();
  context.stroke();
  if (kind !== "rival") return;
  context.fillStyle = colour;
  context.fillRect(x - 1.5, y - 1.5, 3, 3);
}

/* The line between neighbours; where a score is missing it is broken. A figure without gaps is filled. */
function paintFigure(context, points, index, colour) {
  context.strokeStyle = colour;
  context.lineWidth = 2.2;
  context.setLineDash(DASHES[index]);
  if (!points.includes(null)) {
    context.beginPath();
    points.forEach((point, at) => context[at ? "lineTo" : "moveTo"](...point));
    context.closePath();
    context.globalAlpha = 0.1;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }
  points.forEach((point, at) => {
    const next = points[(at + 1) % points.length];
    if (!point || !next) return;
    context.beginPath();
    context.moveTo(...point);
    context.lineTo(...next);
    context.stroke();
  });
}

const GAP = 14; // from the rim to a benchmark's name
const LINE = 15;
const NARROW = 420; // below it, names are broken into two lines

const splitName = (axis, width) => (width < NARROW ? AXES[axis].lines : [AXES[axis].name]);

/* The largest wheel beside which every name fits. */
function placeSpokes(context, order, width, height) {
  const [x, y] = [width / 2, height / 2];
  const angles = order.map((_, index) => -PI / 2 + (2 * PI * index) / order.length);
  context.font = NAME_FONT;
  const measure = (axis) => max(...splitName(axis, width).map((line) => context.measureText(line).width));
  const room = order.map((axis, index) => (x - 2 - measure(axis)) / max(0.01, Math.abs(cos(angles[index]))) - GAP);
  const radius = min(y - GAP - (width < NARROW ? 2 : 1.2) * LINE, ...room);
  const step = (2 * PI) / order.length;
  const at = (index, share) => [x + cos(step * index - PI / 2) * radius * share, y + sin(step * index - PI / 2) * radius * share];
  return {x, y, radius, at};
}

function paintWheel(context, {x, y, radius, at}, order, colours) {
  context.setLineDash([]);
  context.lineWidth = 1;
  context.strokeStyle = colours.line;
  for (const share of [0.25, 0.5, 0.75, 1]) {
    context.beginPath();
    context.arc(x, y, radius * share, 0, 2 * PI);
    context.stroke();
  }
  order.forEach((_, index) => {
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(...at(index, 1));
    context.stroke();
  });
}

/* On the bisector of the first two spokes, above the figures. */
function paintScale(context, {at}, low, colours) {
  context.font = `12px ${FONT}`;
  context.textAlign = "center";
  for (const share of [0, 0.5, 1]) {
    const [left, top] = at(0.5, max(share, 0.14));
    context.fillStyle = colours.surface;
    context.fillRect(left - 13, top - 8, 26, 16);
    context.fillStyle = colours.muted;
    context.fillText(String(Math.round(low + share * (100 - low))), left, top + 4);
  }
}

/* A name stands on the far side of its spoke's end; its lines are centred on it, or grow away from the wheel. */
function paintNames(context, {x, y, at, radius}, order, width, colours) {
  context.fillStyle = colours.ink;
  context.font = NAME_FONT;
  order.forEach((axis, index) => {
    const [left, top] = at(index, 1 + GAP / radius);
    const lines = splitName(axis, width);
    const up = (lines.length - 1) * (0.5 - 0.5 * clamp((top - y) / (0.8 * radius), -1, 1));
    context.textAlign = left - x > 12 ? "left" : x - left > 12 ? "right" : "center";
    lines.forEach((line, number) => context.fillText(line, left, top + 4 + LINE * (number - up)));
  });
  context.textAlign = "left";
}

// ---------------------------------------------------------------- the page

const make = (tag, words, settings = {}) => Object.assign(document.createElement(tag), {textContent: words}, settings);

const percent = (share) => `${(100 * share).toFixed(1)} %`;

function drawSign(index) {
  const shape = ['<circle cx="26" cy="8" r="5"/>', '<rect x="21" y="3" width="10" height="10"/>', '<path d="M26 1.5 32 12.5H20Z"/>', '<path d="M26 1 33 8 26 15 19 8Z"/>'][index];
  return `<svg viewBox="0 0 52 16" class="pw-radar-sign" aria-hidden="true"><path d="M0 8H52" stroke-dasharray="${DASHES[index].join(" ")}"/>${shape}</svg>`;
}

function describeCell(model, axis, who) {
  const known = MODELS[model].scores[axis] || [];
  const drawn = pickScore(model, axis, who);
  if (!known.length) return `<i>${WHY[`${model} ${axis}`] || "missing"}</i>`;
  return known.map((one) => {
    const {name, date, url} = SOURCES[one.source];
    return `<span${one === drawn ? ' class="pw-radar-drawn"' : ""}><b>${one.score.toFixed(1)}</b> ${KINDS[one.kind]}, <a href="${url}" target="_blank" rel="noopener">${name}</a>, ${date}</span>`;
  }).join("");
}

function mountRadar(root, sim) {
  const {state} = sim;
  const canvas = find(root, "radar");
  const readTints = () => [1, 2, 3, 4].map((number) => getComputedStyle(root.querySelector(".pw-radar")).getPropertyValue(`--pw-series-${number}`).trim());
  const redraw = Patchwork.fitCanvas(canvas, (width) => min(width, 500) * (width < NARROW ? 0.9 : 0.8), paint);

  function paint(context, width, height) {
    const place = placeSpokes(context, state.order, width, height);
    const [colours, tints] = [Patchwork.readColours(root), readTints()];
    paintWheel(context, place, state.order, colours);
    paintNames(context, place, state.order, width, colours);
    const figures = state.models.map((model) => readScores(state, model));
    const points = figures.map((scores) => scores.map((one, at) => one && place.at(at, reach(one.score, state.low))));
    points.forEach((figure, index) => paintFigure(context, figure, index, tints[index]));
    paintScale(context, place, state.low, colours);
    points.forEach((figure, index) => figure.forEach((point, at) => point && paintMark(context, index, point, figures[index][at].kind, tints[index], colours.surface)));
  }

  function tellAreas() {
    find(root, "areas").replaceChildren(...state.models.map((model, index) => {
      const item = make("li", "");
      const area = measureArea(state, model);
      const gaps = readScores(state, model).filter((one) => !one).length;
      const words = area === null ? `no area: ${gaps} of ${state.order.length} missing` : `area ${percent(area)}`;
      item.dataset.series = index + 1;
      item.innerHTML = `${drawSign(index)}<b>${MODELS[model].name}</b><span>${words}</span>`;
      if (area !== null) item.append(make("button", "Arrange in its favour", {type: "button", className: "pw-radar-small", onclick: () => { state.order = arrangeFor(state, model); tell(); }}));
      return item;
    }));
    canvas.setAttribute("aria-label", `Radar of ${state.models.map((model) => MODELS[model].name).join(", ")} over ${state.order.map((axis) => AXES[axis].name).join(", ")}. The table below has every number.`);
  }

  function tellModels() {
    find(root, "models").querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", String(state.models.includes(button.dataset.model))));
  }

  function tellAxes() {
    const hidden = Object.keys(AXES).filter((axis) => !state.order.includes(axis));
    const focused = document.activeElement?.dataset?.move;
    find(root, "axes").replaceChildren(...[...state.order, ...hidden].map((axis) => drawAxis(axis, state.order.indexOf(axis))));
    if (focused) find(root, "axes").querySelector(`[data-move="${focused}"]`)?.focus({preventScroll: true});
  }

  function drawAxis(axis, at) {
    const item = make("li", "");
    const {name, about} = AXES[axis];
    item.innerHTML = `<label class="pw-check" title="${about}"><input type="checkbox" data-axis="${axis}"${at < 0 ? "" : " checked"}> ${name}</label>`;
    if (at < 0) return item;
    for (const [step, sign, words] of [[-1, "↑", "earlier"], [1, "↓", "later"]]) {
      const button = make("button", sign, {type: "button", className: "pw-radar-move", onclick: () => moveAxis(axis, step)});
      button.dataset.move = `${axis} ${step}`;
      button.setAttribute("aria-label", `Move ${name} ${words}`);
      item.append(button);
    }
    return item;
  }

  /* The wheel is round: from the first place a step back leads to the last. */
  function moveAxis(axis, step) {
    const rest = state.order.filter((one) => one !== axis);
    const to = (state.order.indexOf(axis) + step + state.order.length) % state.order.length;
    state.order = [...rest.slice(0, to), axis, ...rest.slice(to)];
    tell();
  }

  function tellTable() {
    const head = `<thead><tr><th scope="col">Benchmark</th>${state.models.map((model) => `<th scope="col">${MODELS[model].name}</th>`).join("")}</tr></thead>`;
    const cell = (model, axis) => `<td data-model="${MODELS[model].name}">${describeCell(model, axis, state.who)}</td>`;
    const rows = state.order.map((axis) => `<tr><th scope="row">${AXES[axis].name}<small>${AXES[axis].about}</small></th>${state.models.map((model) => cell(model, axis)).join("")}</tr>`);
    find(root, "table").innerHTML = `<caption>Every number of the radar. The one that is drawn is bold.</caption>${head}<tbody>${rows.join("")}</tbody>`;
  }

  function tell(words = "Choose two to four models.") {
    find(root, "told").textContent = words;
    tellModels();
    tellAreas();
    tellAxes();
    tellTable();
    redraw();
  }

  function toggleModel(model) {
    const chosen = state.models.includes(model);
    if (chosen && state.models.length === LEAST) return tell("A comparison needs two models. Choose another one first.");
    if (!chosen && state.models.length === MOST) return tell("Four are enough to read. Take one away first.");
    state.models = chosen ? state.models.filter((one) => one !== model) : [...state.models, model];
    tell();
  }

  function toggleAxis(axis) {
    const shown = state.order.includes(axis);
    if (shown && state.order.length === LEAST_AXES) return tell("A figure needs three spokes. Add another benchmark first.");
    state.order = shown ? state.order.filter((one) => one !== axis) : [...state.order, axis];
    tell();
  }

  function tellBill() {
    const bills = Object.values(BILLS).map(({name, bill}) => ({name, ...bill(state.seconds)}));
    const most = max(...bills.map((one) => one.tokens));
    find(root, "bill").innerHTML = bills.map(({name, frames, tokens, how}) => `<li><b>${name}</b><span class="pw-bill-tokens">${formatCount(tokens)} tokens</span><i style="width: ${(100 * tokens) / most}%"></i><small>${formatCount(frames)} frames: ${how}</small></li>`).join("");
    find(root, "cost").textContent = `A camera takes 30 pictures a second: ${formatCount(30 * state.seconds)} in this clip. No model here sees more than ${formatCount(max(...bills.map((one) => one.frames)))} of them.`;
  }

  find(root, "models").append(...Object.entries(MODELS).map(([id, {name, year}]) => {
    const button = make("button", name, {type: "button", onclick: () => toggleModel(id)});
    button.dataset.model = id;
    button.append(make("small", String(year)));
    return button;
  }));
  find(root, "axes").addEventListener("change", (event) => toggleAxis(event.target.dataset.axis));
  find(root, "who").addEventListener("change", (event) => { state.who = event.target.value; tell(); });
  find(root, "reset").addEventListener("click", () => { state.order = Object.keys(AXES); tell(); });
  tell();
  Patchwork.bindSliders(root, (name, value) => {
    state[name] = value;
    if (name === "seconds") return tellBill();
    tellAreas();
    redraw();
  }, {low: String, seconds: (value) => `${value} s`});
}

Patchwork.register("frontier", {
  start: {models: ["gemini15", "qwen2vl7", "llava15"], order: Object.keys(AXES), who: "any", low: 0, seconds: 60},
  facts, draw, mount: mountRadar,
  AXES, MODELS, SOURCES, BILLS, pickScore, measureArea, arrangeFor, listOrders,
});
