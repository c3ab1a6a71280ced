/* Merging modalities: patches and tokens become vectors of one width and join one row. */

const {clamp, mix, during, formatCount, splitTokens, find} = Patchwork;

const PATCH = 14;
const WIDTHS = {vision: 1024, language: 4096};
const LONGEST = 60;

const STEPS = [
  {at: 0, name: "As they come", say: (f) => `A grid of ${f.side} × ${f.side} pixels in three colours, and a line of text.`},
  {at: 0.2, name: "Cut", say: (f) => `The picture becomes ${f.patches} patches of ${PATCH} × ${PATCH} pixels; the text becomes ${f.words} tokens.`},
  {at: 0.4, name: "Describe", say: (f) => `The vision encoder writes ${f.patches} vectors of width ${formatCount(WIDTHS.vision)}; each token looks up its own vector of width ${formatCount(WIDTHS.language)}.`},
  {at: 0.6, name: "Translate", say: (f) => `The bridge makes [${f.patches}, ${WIDTHS.vision}] into [${f.patches}, ${WIDTHS.language}]: now all vectors are of one width.`},
  {at: 0.8, name: "Join", say: (f) => `One row of ${f.patches} + ${f.words} = ${f.total} vectors, [${f.total}, ${WIDTHS.language}]. This is what the language model reads.`},
];

/* What can be counted. A sentence without a word counts as one token: the row is never without text. */
function facts({grid, sentence}) {
  const patches = grid * grid;
  const words = Math.max(1, readTokens(sentence).length);
  const total = patches + words;
  return {patches, words, total, product: patches * words, difference: Math.abs(patches - words), squared: total * total, side: grid * PATCH};
}

function readTokens(sentence) {
  return splitTokens(sentence).slice(0, LONGEST);
}

function draw(random) {
  const count = 1 + Math.floor(random() * 20);
  return {grid: 2 + Math.floor(random() * 23), sentence: Array.from({length: count}, (_, index) => `word${index}`).join(" ")};
}

function stepAt(time) {
  return STEPS.findLastIndex((step) => time >= step.at);
}

/* Where everything stands in a stage of this width; `row` are the places in the shared row. */
function layOut(width, grid, count) {
  const narrow = width < 560;
  const side = Math.min(narrow ? width * 0.46 : 220, 240);
  const total = grid * grid + count;
  const cell = clamp(Math.floor(Math.sqrt((width * (narrow ? 110 : 96)) / total)), 4, 26);
  const perRow = Math.max(1, Math.floor(width / cell));
  const top = side + 40;
  const height = Math.ceil(top + Math.ceil(total / perRow) * cell + 8);
  return {side, cell, perRow, top, height, textLeft: side + (narrow ? 18 : 56), width};
}

function placeInRow(layout, index) {
  return {x: (index % layout.perRow) * layout.cell, y: layout.top + Math.floor(index / layout.perRow) * layout.cell, size: layout.cell - 1};
}

/* Lines of tokens on the right; returns the place of each. */
function placeTokens(measure, tokens, layout) {
  const [gap, line] = [6, 30];
  let [x, y] = [layout.textLeft, 6];
  return tokens.map((token) => {
    const width = Math.min(measure(token) + 14, layout.width - layout.textLeft);
    if (x + width > layout.width && x > layout.textLeft) [x, y] = [layout.textLeft, y + line];
    const place = {x, y, width, height: 24};
    x += width + gap;
    return place;
  });
}

function mountMerge(root, sim) {
  const {state} = sim;
  const canvas = find(root, "stage");
  const sentence = find(root, "sentence");
  let time = 0;
  let square = Patchwork.cropSquare(Patchwork.drawDefault(), 240);

  find(root, "steps").innerHTML = STEPS.map((step) => `<li>${step.name}</li>`).join("");
  sentence.value = state.sentence;

  const redraw = Patchwork.fitCanvas(
    canvas,
    (width) => layOut(width, state.grid, readTokens(state.sentence).length).height,
    (context, width) => paint(context, layOut(width, state.grid, readTokens(state.sentence).length)),
  );

  function paint(context, layout) {
    const colours = Patchwork.readColours(root);
    const cut = during(time, 0.12, 0.3);
    const describe = during(time, 0.38, 0.55);
    const translate = during(time, 0.58, 0.74);
    context.font = "15px 'IBM Plex Sans', system-ui, sans-serif";
    paintPatches(context, layout, colours, cut, describe, translate);
    paintTokens(context, layout, colours, cut, describe);
    context.fillStyle = colours.muted;
    context.font = "13px 'IBM Plex Sans', system-ui, sans-serif";
    context.globalAlpha = during(time, 0.74, 0.8);
    context.fillText("one row for the language model", 0, layout.top - 10);
    context.globalAlpha = 1;
  }

  function paintPatches(context, layout, colours, cut, describe, translate) {
    const {grid} = state;
    const source = square.width / grid;
    const pitch = layout.side / grid;
    const drawn = pitch - cut * Math.min(4, pitch * 0.18);
    context.globalAlpha = 0.2 * describe;
    context.drawImage(square, 0, 0, layout.side, layout.side);
    for (let index = 0; index < grid * grid; index += 1) {
      const [column, row] = [index % grid, Math.floor(index / grid)];
      const go = during(time, 0.78 + 0.1 * (index / (grid * grid)), 0.9 + 0.1 * (index / (grid * grid)));
      const goal = placeInRow(layout, index);
      const height = mix(drawn, goal.size, go);
      const thin = mix(drawn, Math.max(2, drawn * 0.34), describe);
      const width = mix(mix(thin, drawn, translate), goal.size, go);
      const x = mix(column * pitch + (drawn - Math.min(drawn, thin)) / 2 * (1 - translate), goal.x, go);
      const y = mix(row * pitch, goal.y, go);
      context.globalAlpha = 1;
      if (describe < 1) context.drawImage(square, column * source, row * source, source, source, x, y, width, height);
      context.globalAlpha = describe * 0.92;
      context.fillStyle = colours.visual;
      context.fillRect(x, y, width, height);
    }
    context.globalAlpha = 1;
  }

  function paintTokens(context, layout, colours, cut, describe) {
    const tokens = readTokens(state.sentence);
    const places = placeTokens((token) => context.measureText(token).width, tokens, layout);
    const before = state.grid * state.grid;
    places.forEach((place, index) => {
      const go = during(time, 0.8 + 0.1 * (index / places.length), 0.92 + 0.08 * (index / places.length));
      const goal = placeInRow(layout, before + index);
      const [x, y] = [mix(place.x, goal.x, go), mix(place.y, goal.y, go)];
      const [width, height] = [mix(place.width, goal.size, go), mix(place.height, goal.size, go)];
      if (go > 0) {
        context.globalAlpha = 0.35;
        context.fillStyle = colours.text;
        context.fillText(tokens[index], place.x + 7, place.y + 17, Math.max(1, place.width - 12));
      }
      context.beginPath();
      context.roundRect(x, y, width, height, Math.min(height, width) / 2);
      context.globalAlpha = cut;
      context.fillStyle = describe > 0.5 ? colours.text : colours["text-soft"];
      context.fill();
      context.globalAlpha = 1 - go;
      context.fillStyle = describe > 0.5 ? colours.surface : cut > 0.5 ? colours.text : colours.ink;
      context.textBaseline = "middle";
      context.fillText(tokens[index], x + 7, y + height / 2 + 1, Math.max(1, width - 12));
      context.textBaseline = "alphabetic";
    });
    context.globalAlpha = 1;
  }

  function tell() {
    const known = facts(state);
    const now = stepAt(time);
    find(root, "say").textContent = STEPS[now].say(known);
    [...find(root, "steps").children].forEach((item, index) => item.toggleAttribute("aria-current", index === now));
    for (const name of ["patches", "words", "total", "squared"]) find(root, name).textContent = formatCount(known[name]);
    redraw();
  }

  Patchwork.makeClock(root, {seconds: 12, marks: [...STEPS.slice(1).map((step) => step.at), 1], onTime: (share) => { time = share; tell(); }});
  Patchwork.bindSliders(root, (name, value) => {
    if (name === "grid") { state.grid = value; tell(); }
  }, {grid: (value) => `${value} × ${value}`, time: (value) => STEPS[stepAt(value)].name});
  sentence.addEventListener("input", () => { state.sentence = sentence.value; tell(); });
  Patchwork.watchPicture((picture) => { square = Patchwork.cropSquare(picture, 240); tell(); });
}

Patchwork.register("modalities", {start: {grid: 6, sentence: "What is in the picture?"}, facts, draw, mount: mountMerge});
