/* Fusion comparison: four ways of letting a language model see, what they make of its row, and what they cost. */

const {clamp, formatCount, formatTimes, find, pick} = Patchwork;

const WAYS = ["concatenated", "interleaved", "resampled", "crossed"];
const NAMES = {concatenated: "Concatenated", interleaved: "Interleaved", resampled: "Resampled", crossed: "Cross-attention"};

/* `matrices`: of one MLP (Llama's has three, the small modules' two). `every`: one cross-attention block stands before so
   many layers. `queries`, `depth`, `summary`: the resampler's queries, blocks and MLP, in the encoder's width. The large
   model has Llama-2-7B's sizes, IDEFICS-9B's interval, queries and depth, and CLIP ViT-L/14 in front; the small ones are
   those of the live panel. */
const MODELS = {
  large: {patch: 14, vision: 1024, width: 4096, layers: 32, hidden: 11008, matrices: 3, queries: 64, depth: 6, summary: 4096, every: 4},
  small: {patch: 16, vision: 192, width: 96, layers: 3, hidden: 192, matrices: 2, queries: 8, depth: 1, summary: 192, every: 1},
};
const START = {way: "concatenated", side: 336, text: 64, model: "large", before: 40};

/* Multiplications of an attention: four projections (queries and outputs of those who look, keys and values of those
   looked at) and two products of all pairs. The mask saves none of them. */
const attend = (looking, looked, {width}) => 2 * looking * width * width + 2 * looked * width * width + 2 * looking * looked * width;
const think = (vectors, {width, hidden, matrices}) => matrices * vectors * width * hidden;
const countNorm = (width) => 2 * width;
const countBlock = ({width, hidden, matrices}) => 4 * width * width + matrices * width * hidden;

/* What stands in the row, what was added to the language model, and the work of one pass; the last step, from vectors
   to words, is the same for all and left out. */
function measure(way, patches, text, model) {
  const {vision, width, layers, queries, depth, summary, every} = model;
  const resampler = {width: vision, hidden: summary, matrices: 2};
  const visual = {resampled: queries, crossed: 0}[way] ?? patches;
  const row = visual + text;
  let added = countNorm(vision) + vision * width + width;
  let work = (way === "resampled" ? queries : patches) * vision * width + layers * (attend(row, row, model) + think(row, model));
  if (way === "resampled") {
    added += queries * vision + depth * (countBlock(resampler) + 3 * countNorm(vision)) + countNorm(vision);
    work += depth * (attend(queries, patches + queries, resampler) + think(queries, resampler));
  }
  if (way === "crossed") {
    const crossings = Math.ceil(layers / every);
    added += crossings * (countBlock(model) + 2 * countNorm(width) + 2);
    work += crossings * (attend(text, patches, model) + think(text, model));
  }
  return {visual, row, added, work};
}

const countPatches = ({side, model}) => Math.floor(side / MODELS[model].patch) ** 2;
const countBefore = ({way, text, before}) => (way === "interleaved" ? Math.round((text * before) / 100) : 0);

/* Places that may look at each other: a causal row, and for cross-attention every text place at every patch. */
function countPairs(way, patches, text, row) {
  return (row * (row + 1)) / 2 + (way === "crossed" ? text * patches : 0);
}

/* What the quiz asks for, beside the counts themselves: near misses. */
function facts(state) {
  const model = MODELS[state.model];
  const patches = countPatches(state);
  const mine = measure(state.way, patches, state.text, model);
  return {
    ...state,
    ...mine,
    patches,
    queries: model.queries,
    at: countBefore(state),
    pairs: countPairs(state.way, patches, state.text, mine.row),
    all: patches + state.text,
    few: model.queries + state.text,
    only: state.text,
    both: patches + model.queries + state.text,
    plain: measure("crossed", 0, state.text, {...model, every: Infinity}).work,
  };
}

function draw(random) {
  return {...START, side: pick([224, 336, 448, 672], random), text: 8 * (2 + Math.floor(random() * 40)), way: pick(WAYS, random)};
}

/* Sentences about what is chosen. */
const SAYINGS = {
  concatenated: (f) => `All ${formatCount(f.patches)} patches stand before ${formatCount(f.text)} tokens of text, in one row. Every token may look at every patch, with the attention that the model has already.`,
  interleaved: (f) => `The ${formatCount(f.patches)} patches stand after ${formatCount(f.at)} tokens of text. Text before the picture cannot see it: nothing looks ahead.`,
  resampled: (f) => `${f.queries} learned queries read all ${formatCount(f.patches)} patches; only these ${f.queries} enter the row, however large the picture is.`,
  crossed: (f) => `The row holds text alone. Extra layers let each of the ${formatCount(f.text)} tokens look at all ${formatCount(f.patches)} patches.`,
};

function mountWays(root, sim) {
  const {state} = sim;
  const redraws = [
    Patchwork.fitCanvas(find(root, "row"), () => 64, paintRow),
    Patchwork.fitCanvas(find(root, "mask"), (width) => Math.min(width, 300) + 34, paintMask),
    Patchwork.fitCanvas(find(root, "bars"), () => 132, paintBars),
  ];
  const font = (size, weight = 400) => `${weight} ${size}px 'IBM Plex Sans', system-ui, sans-serif`;

  find(root, "ways").innerHTML = WAYS.map((way) => `<label><input type="radio" name="pw-way" value="${way}"${way === state.way ? " checked" : ""}> ${NAMES[way]}</label>`).join("");

  /* Segments [kind, count] of the row, in order. */
  function listSegments(known) {
    const after = known.text - known.at;
    return [["text", known.at], ["visual", known.visual], ["text", after]].filter(([, count]) => count > 0);
  }

  function paintRow(context, width) {
    const colours = Patchwork.readColours(root);
    const known = facts(state);
    const longest = known.patches + known.text;
    let x = 0;
    context.font = font(12);
    context.textBaseline = "middle";
    for (const [kind, count] of listSegments(known)) {
      const wide = Math.max(2, (count / longest) * width);
      context.fillStyle = colours[kind];
      context.beginPath();
      if (kind === "visual") context.rect(x, 4, wide - 1, 30);
      else context.roundRect(x, 4, wide - 1, 30, 8);
      context.fill();
      context.fillStyle = colours.surface;
      if (wide > 56) context.fillText(`${formatCount(count)} ${kind === "visual" ? "visual" : "text"}`, x + 8, 20, wide - 12);
      x += wide;
    }
    context.fillStyle = colours.muted;
    const scale = `the row: ${formatCount(known.row)} vectors${known.way === "crossed" ? `; ${formatCount(known.patches)} patches wait beside it` : ""}`;
    context.fillText(scale, 0, 52, width);
    context.textBaseline = "alphabetic";
  }

  /* One line of the screen's pixels after the other, whole ones, or seams would show: a line stands for a place that
     looks, coloured by what it may look at. */
  function paintMask(context, width) {
    const colours = Patchwork.readColours(root);
    const known = facts(state);
    const size = Math.min(width, 300);
    const beside = known.way === "crossed" ? Math.round(size * 0.62) : 0;
    const own = size - beside - (beside ? 8 : 0);
    paintCausal(context, colours, known, 0, own, known.way === "crossed" ? own : size);
    if (beside) {
      context.fillStyle = colours.visual;
      context.fillRect(own + 8, 0, beside, own);
    }
    context.font = font(12);
    context.fillStyle = colours.muted;
    const bottom = (beside ? own : size) + 16;
    context.fillText(beside ? `row → row, ${formatCount(known.row)}²` : `each line looks at the columns, ${formatCount(known.row)}²`, 0, bottom, width);
    if (beside) context.fillText(`text → patches, ${formatCount(known.text)} × ${formatCount(known.patches)}`, own + 8, bottom, beside);
  }

  function paintCausal(context, colours, known, left, size, height) {
    context.fillStyle = colours.sunken;
    context.fillRect(left, 0, size, height);
    const unit = size / known.row;
    const line = 1 / context.getTransform().d;
    for (let y = 0; y < height; y += line) {
      const reach = Math.floor((y / height) * known.row) + 1;
      let start = 0;
      for (const [kind, count] of listSegments(known)) {
        const end = Math.min(start + count, reach);
        if (end > start) {
          context.fillStyle = colours[kind];
          context.fillRect(left + start * unit, y, (end - start) * unit, line);
        }
        start += count;
      }
    }
  }

  function paintBars(context, width) {
    const colours = Patchwork.readColours(root);
    const known = facts(state);
    const works = WAYS.map((way) => measure(way, known.patches, state.text, MODELS[state.model]).work / known.plain);
    const most = Math.max(...works);
    context.textBaseline = "middle";
    WAYS.forEach((way, index) => {
      const y = 26 + index * 27;
      const chosen = way === state.way;
      context.font = font(13, chosen ? 600 : 400);
      context.fillStyle = chosen ? colours.ink : colours.muted;
      context.fillText(NAMES[way], 0, y, 104);
      const room = width - 112 - 58;
      context.fillStyle = chosen ? colours.ink : colours.edge;
      context.fillRect(112, y - 8, clamp((works[index] / most) * room, 2, room), 16);
      context.fillStyle = colours.ink;
      context.fillText(formatTimes(works[index]), 112 + (works[index] / most) * room + 6, y);
    });
    context.font = font(12);
    context.fillStyle = colours.muted;
    context.fillText("work of one pass, compared with the text alone", 0, 8, width);
    context.textBaseline = "alphabetic";
  }

  function tell() {
    const known = facts(state);
    find(root, "say").textContent = SAYINGS[state.way](known);
    find(root, "visual").textContent = formatCount(known.visual);
    find(root, "row-length").textContent = formatCount(known.row);
    find(root, "pairs").textContent = formatCount(known.pairs);
    find(root, "added").textContent = formatCount(known.added);
    find(root, "placing").style.display = state.way === "interleaved" ? "" : "none";
    root.querySelector("output[data-of=side]").textContent = `${state.side} px, ${formatCount(known.patches)} patches`;
    redraws.forEach((redraw) => redraw());
  }

  find(root, "ways").addEventListener("change", (event) => { state.way = event.target.value; tell(); });
  find(root, "model").value = state.model;
  find(root, "model").addEventListener("change", (event) => { state.model = event.target.value; tell(); });
  Patchwork.bindSliders(root, (name, value) => { state[name] = value; tell(); },
    {side: (value) => `${value} px`, text: (value) => `${formatCount(value)} tokens`, before: (value) => `${value} % of it`});
}

Patchwork.register("fusion", {start: START, facts, draw, mount: mountWays, measure, MODELS});
