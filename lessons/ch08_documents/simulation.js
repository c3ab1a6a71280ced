/* Documents: the same characters mean something else in another place, and every family cuts a page its own way. */

const {clamp, formatCount, find} = Patchwork;

// ---------------------------------------------------------------- tiles and tokens (pure; patchwork/tilings.py does the same)

const {floor, ceil, trunc, min, max, abs, sqrt, fround} = Math;
const roundEven = (value) => (value - floor(value) === 0.5 ? 2 * Math.round(value / 2) : Math.round(value));

/* A page stretched over columns × rows tiles; `margin` and `scale` where it is laid on a padded canvas instead. */
function cut([width, height], columns, rows, tile, placed) {
  const place = placed || {left: 0, top: 0, across: (columns * tile) / width, down: (rows * tile) / height};
  const at = (column, row) => [(column * tile - place.left) / place.across, (row * tile - place.top) / place.down];
  const regions = [];
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) regions.push([...at(column, row), ...at(column + 1, row + 1)]);
  }
  return {columns, rows, tile: [tile, tile], regions};
}

const uncut = (view) => ({columns: 1, rows: 1, tile: view, regions: []});

function layOutLlava([width, height]) {
  const side = min(width, height);
  const [left, top] = [(width - side) / 2, (height - side) / 2];
  return {...uncut([336, 336]), tokens: 576, views: 1, seen: [left, top, left + side, top + side]};
}

const CROP = 224;

function listGrids(most = 20) {
  const grids = [];
  for (let rows = 1; rows <= most; rows += 1) for (let columns = 1; columns * rows <= most; columns += 1) grids.push([rows, columns]);
  return grids.filter((grid) => min(...grid) > 1 || max(...grid) <= 11).sort((a, b) => a[0] * a[1] - b[0] * b[1]);
}

/* Two rectangles with a common corner; single precision, as in the released code. */
function overlap(wide, high, width, height) {
  const shared = min(wide, width) * min(high, height);
  return fround(fround(shared) / fround(fround(wide * high + width * height - shared) + fround(1e-5)));
}

function layOutUreader(size) {
  const [width, height] = size;
  let best = [1, 1];
  let most = -1;
  for (const [rows, columns] of listGrids()) {
    const [wide, high] = [columns * CROP, rows * CROP];
    const alike = overlap(wide, high, wide, trunc((height / width) * wide));
    const score = fround(fround(alike * 100) + overlap(wide, high, width, height));
    if (score > most) [best, most] = [[rows, columns], score];
  }
  const [rows, columns] = best;
  return {...cut(size, columns, rows, CROP), tokens: 65 * (rows * columns + 1), views: rows * columns + 1};
}

const ANYRES = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]];

function chooseCanvas([width, height]) {
  let best = null;
  let [most, least] = [0, Infinity];
  for (const [high, wide] of ANYRES) {
    const scale = min(wide / width, high / height);
    const kept = min(trunc(width * scale) * trunc(height * scale), width * height);
    const wasted = wide * high - kept;
    if (kept > most || (kept === most && wasted < least)) [best, most, least] = [[wide, high], kept, wasted];
  }
  return best;
}

/* The patches of the padding are taken out again; every row of patches that is left ends with a newline token. */
function layOutLlavaNext(size) {
  const [width, height] = size;
  const [wide, high] = chooseCanvas(size);
  let [columns, rows] = [(wide / 336) * 24, (high / 336) * 24];
  const whole = (value) => trunc(Number(value.toFixed(7)));
  if (width / height > columns / rows) rows -= floor((rows - whole(height * (columns / width))) / 2) * 2;
  else columns -= floor((columns - whole(width * (rows / height))) / 2) * 2;
  const fitted = wide / width < high / height ? [wide, min(ceil(height * (wide / width)), high)] : [min(ceil(width * (high / height)), wide), high];
  const placed = {left: floor((wide - fitted[0]) / 2), top: floor((high - fitted[1]) / 2), across: fitted[0] / width, down: fitted[1] / height};
  const tiles = cut(size, wide / 336, high / 336, 336, placed);
  return {...tiles, tokens: 576 + columns * rows + rows, views: tiles.regions.length + 1};
}

function arrangeTiles([width, height], most = 12, tile = 448) {
  const shapes = [];
  for (let columns = 1; columns <= most; columns += 1) for (let rows = 1; columns * rows <= most; rows += 1) shapes.push([columns, rows]);
  shapes.sort((a, b) => a[0] * a[1] - b[0] * b[1]);
  let best = [1, 1];
  let nearest = Infinity;
  for (const [columns, rows] of shapes) {
    const distance = abs(width / height - columns / rows);
    const fits = width * height > 0.5 * tile * tile * columns * rows;
    if (distance < nearest || (distance === nearest && fits)) [best, nearest] = [[columns, rows], distance];
  }
  return best;
}

function layOutInternvl(size) {
  const [columns, rows] = arrangeTiles(size);
  const count = columns * rows;
  const tiles = count > 1 ? cut(size, columns, rows, 448) : uncut([448, 448]);
  return {...tiles, tokens: 256 * (count > 1 ? count + 1 : 1), views: count > 1 ? count + 1 : 1};
}

/* The longer side is brought to `longest`, even where that enlarges; both are then rounded up to whole tiles. */
const layOutIdefics3 = (longest, tile, tokens) => (size) => {
  const even = (value) => max(1, trunc(value) + (trunc(value) % 2));
  let ratio = size[0] / size[1];
  let [width, height] = ratio >= 1 ? [longest, even(longest / ratio)] : [even(longest * ratio), longest];
  ratio = width / height;
  if (width >= height) [width, height] = [ceil(width / tile) * tile, ceil(trunc(ceil(width / tile) * tile / ratio) / tile) * tile];
  else [width, height] = [ceil(trunc(ceil(height / tile) * tile * ratio) / tile) * tile, ceil(height / tile) * tile];
  if (max(width, height) <= tile) return {...uncut([tile, tile]), tokens, views: 1};
  const [columns, rows] = [width / tile, height / tile];
  return {...cut(size, columns, rows, tile), tokens: tokens * (columns * rows + 1), views: columns * rows + 1};
};

function layOutQwen2vl([width, height]) {
  const [fewest, most] = [56 * 56, 28 * 28 * 1280];
  let [wide, high] = [width, height].map((side) => roundEven(side / 28) * 28);
  if (wide * high > most) {
    const shrink = sqrt((width * height) / most);
    [wide, high] = [width, height].map((side) => max(28, floor(side / shrink / 28) * 28));
  } else if (wide * high < fewest) {
    const grow = sqrt(fewest / (width * height));
    [wide, high] = [width, height].map((side) => ceil((side * grow) / 28) * 28);
  }
  return {...uncut([wide, high]), tokens: (wide * high) / 784, views: 1};
}

function layOutTextmonkey(size) {
  return {...cut(size, 2, 2, 448), tokens: 512 + 256, views: 5};
}

const TILINGS = {
  llava: {title: "LLaVA-1.5", how: "one view at 336 px, the middle square", layOut: layOutLlava},
  ureader: {title: "UReader", how: "the grid of 224 px crops nearest in shape, and an overview", layOut: layOutUreader},
  llava_next: {title: "LLaVA-NeXT", how: "AnyRes: the canvas that wastes least, and an overview", layOut: layOutLlavaNext},
  internvl: {title: "InternVL", how: "up to 12 tiles of 448 px, and a thumbnail", layOut: layOutInternvl},
  idefics3: {title: "Idefics3", how: "tiles of 364 px of a page brought to 1,456 px, and an overview", layOut: layOutIdefics3(1456, 364, 169)},
  smolvlm: {title: "SmolVLM", how: "tiles of 512 px of a page brought to 2,048 px, and an overview", layOut: layOutIdefics3(2048, 512, 64)},
  qwen2vl: {title: "Qwen2-VL", how: "one view at the page's own size, within a budget", layOut: layOutQwen2vl},
  textmonkey: {title: "TextMonkey", how: "four windows of 448 px that see each other; half of the tokens are pruned", layOut: layOutTextmonkey},
};

/* How many pixels of its sharpest view show one line of print that is an eightieth of the page high. */
const LINES = 80;
function measurePrint(layout, [, height]) {
  const [, top, , bottom] = layout.regions[0] || layout.seen || [0, 0, 0, height];
  return (layout.tile[1] / (bottom - top)) * (height / LINES);
}

// ---------------------------------------------------------------- the drawn page (pure)

/* Regions in shares of the page: left, top, right, bottom. */
const REGIONS = [
  {kind: "title", box: [0.1, 0.06, 0.9, 0.115], name: "Title"},
  {kind: "text", box: [0.1, 0.14, 0.9, 0.27], name: "Paragraph"},
  {kind: "table", box: [0.1, 0.3, 0.9, 0.49], name: "Table"},
  {kind: "figure", box: [0.1, 0.53, 0.47, 0.76], name: "Chart"},
  {kind: "caption", box: [0.1, 0.77, 0.47, 0.81], name: "Caption"},
  {kind: "formula", box: [0.53, 0.56, 0.9, 0.63], name: "Formula"},
  {kind: "text", box: [0.53, 0.66, 0.9, 0.81], name: "Paragraph"},
  {kind: "footer", box: [0.4, 0.93, 0.6, 0.965], name: "Page number"},
];
const COLUMNS = ["Item", "Pieces", "Price"];
const ROWS = ["Lamps", "Chairs", "Tables"];

/* What the number 42 means where it stands: read from its place alone. */
function classify([x, y]) {
  const region = REGIONS.find(({box}) => x >= box[0] && x <= box[2] && y >= box[1] && y <= box[3]);
  if (!region) return x < 0.1 || x > 0.9 ? {kind: "margin", meaning: "a line number, or a note of the reader, in the margin"} : {kind: "nothing", meaning: "a stray mark between two regions"};
  const [left, top, right, bottom] = region.box;
  const [across, down] = [(x - left) / (right - left), (y - top) / (bottom - top)];
  if (region.kind === "table") return readCell(across, down);
  if (region.kind === "figure") return across < 0.18 ? {kind: "axis", meaning: "a tick of the vertical axis: the height that the bars are measured against"} : {kind: "value", meaning: "the value of one bar of the chart"};
  if (region.kind === "formula") return across > 0.75 ? {kind: "number", meaning: "the number of the formula: other pages may say “see (42)”"} : {kind: "term", meaning: "a term of the formula: it changes the result"};
  const meanings = {title: "part of the title, such as the number of a chapter", text: "a number in a sentence; the words around it say of what", caption: "the number of the figure", footer: "the number of the page"};
  return {kind: region.kind, meaning: meanings[region.kind]};
}

function readCell(across, down) {
  const [column, row] = [min(2, floor(across * 3)), min(3, floor(down * 4))];
  if (row === 0) return {kind: "head", meaning: `a heading: what the column “${COLUMNS[column]}” holds`};
  const item = ROWS[row - 1].toLowerCase();
  if (column === 0) return {kind: "cell", meaning: "the name of an item, if items had numbers for names"};
  return {kind: "cell", meaning: column === 1 ? `how many ${item} there are` : `the price of the ${item}`};
}

/* The quiz counts InternVL's tokens; a page of a single tile has no thumbnail, so an A4 page stands in for it. */
function facts(state) {
  const [columns, rows] = arrangeTiles(state.size);
  const size = columns * rows > 1 ? state.size : [1240, 1754];
  const [across, down] = arrangeTiles(size);
  const tiles = across * down;
  return {width: size[0], height: size[1], columns: across, rows: down, tiles, views: tiles + 1, total: 256 * (tiles + 1), withoutThumbnail: 256 * tiles, unmerged: 1024 * (tiles + 1), once: 256};
}

function draw(random) {
  const width = 600 + 10 * floor(140 * random());
  return {size: [width, Math.round(width * (0.5 + 1.3 * random()))], family: "internvl", spot: [0.5, 0.4]};
}

// ---------------------------------------------------------------- drawing the page

/* `print`: the height of the table's letters, in shares of the page's. */
function paintPage(context, place, ink, print) {
  const [w, h] = [place.width, place.height];
  const at = (x, y) => [place.left + x * w, place.top + y * h];
  context.fillStyle = "#fffdf8";
  context.fillRect(place.left, place.top, w, h);
  context.strokeStyle = "rgba(0, 0, 0, 0.25)";
  context.lineWidth = 1;
  context.strokeRect(place.left, place.top, w, h);
  const lines = (box, count, last) => {
    context.fillStyle = ink;
    for (let line = 0; line < count; line += 1) {
      const [x, y] = at(box[0], box[1] + ((box[3] - box[1]) * (line + 0.15)) / count);
      const wide = (box[2] - box[0]) * w * (line === count - 1 ? last : 1);
      context.fillRect(x, y, wide, max(1, ((box[3] - box[1]) * h * 0.4) / count));
    }
  };
  for (const {kind, box} of REGIONS) {
    if (kind === "title") lines(box, 1, 0.8);
    if (kind === "text") lines(box, 6, 0.55);
    if (kind === "caption") lines(box, 2, 0.6);
    if (kind === "footer") lines([box[0] + 0.08, box[1], box[2] - 0.08, box[3]], 1, 1);
    if (kind === "table") paintTable(context, at, box, w, h, ink, print);
    if (kind === "figure") paintChart(context, at, box, w, h, ink);
    if (kind === "formula") paintFormula(context, at, box, h, ink);
  }
}

function paintTable(context, at, box, w, h, ink, print) {
  context.font = `${h * print}px 'IBM Plex Sans', system-ui, sans-serif`;
  context.fillStyle = ink;
  context.textAlign = "left";
  const [wide, high] = [(box[2] - box[0]) / 3, (box[3] - box[1]) / 4];
  for (let row = 0; row < 4; row += 1) {
    const [x1, y] = at(box[0], box[1] + row * high);
    context.fillRect(x1, y, (box[2] - box[0]) * w, row === 1 ? 1.6 : 0.6);
    for (let column = 0; column < 3; column += 1) {
      const words = row === 0 ? COLUMNS[column] : column === 0 ? ROWS[row - 1] : ["", "7", "19"][column];
      const [x, top] = at(box[0] + column * wide, box[1] + row * high);
      context.fillText(words, x + 0.01 * w, top + high * h * 0.68);
    }
  }
}

function paintChart(context, at, box, w, h, ink) {
  const [x1, y1] = at(box[0] + 0.05, box[1]);
  const [x2, y2] = at(box[2], box[3]);
  context.fillStyle = ink;
  context.fillRect(x1, y1, 1, y2 - y1);
  context.fillRect(x1, y2, x2 - x1, 1);
  [0.45, 0.8, 0.6].forEach((share, bar) => {
    const wide = (x2 - x1) / 5;
    context.globalAlpha = 0.55;
    context.fillRect(x1 + wide * (0.5 + 1.45 * bar), y2 - (y2 - y1) * share, wide, (y2 - y1) * share);
    context.globalAlpha = 1;
  });
}

function paintFormula(context, at, box, h, ink) {
  context.fillStyle = ink;
  context.font = `italic ${max(9, h * 0.028)}px serif`;
  const [x, y] = at(box[0], (box[1] + box[3]) / 2 + 0.008);
  context.fillText("a² + b² = c²", x, y);
}

function makePage(print = 0.019) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [1240, 1754];
  paintPage(canvas.getContext("2d"), {left: 0, top: 0, width: 1240, height: 1754}, "#3a362f", print);
  return canvas;
}

// ---------------------------------------------------------------- the page

function mountDocuments(root, sim) {
  const {state} = sim;
  const page = makePage();
  const stagePage = makePage(0.028);
  let picture = null;
  let source = "page";
  let shown = -1;
  let dragging = false;

  find(root, "rows").innerHTML = Object.entries(TILINGS).map(([name, one]) => `<tr data-name="${name}"><td><button type="button">${one.title}</button><small>${one.how}</small></td><td data-part="tiles-${name}"></td><td data-part="tokens-${name}"></td><td data-part="print-${name}"></td></tr>`).join("");
  const spotCanvas = find(root, "layout");
  const redrawLayout = Patchwork.fitCanvas(spotCanvas, (width) => min(width, 400) * 1.3, paintLayout);
  const redrawTiles = Patchwork.fitCanvas(find(root, "tiles"), (width) => min(width, 400) * 1.3, paintTiles);

  const fit = ([wide, high], width, height) => {
    const scale = min((width - 2) / wide, (height - 2) / high);
    return {scale, left: (width - wide * scale) / 2, top: (height - high * scale) / 2, width: wide * scale, height: high * scale};
  };

  function paintLayout(context, width, height) {
    const place = fit([1240, 1754], width, height);
    const colours = Patchwork.readColours(root);
    context.drawImage(Patchwork.isOnStage() ? stagePage : page, place.left, place.top, place.width, place.height);
    REGIONS.forEach((region, index) => {
      if (index > shown) return;
      const [x1, y1, x2, y2] = region.box.map((value, edge) => (edge % 2 ? place.top + value * place.height : place.left + value * place.width));
      context.strokeStyle = colours.visual;
      context.lineWidth = index === shown ? 3 : 1.5;
      context.strokeRect(x1 - 3, y1 - 3, x2 - x1 + 6, y2 - y1 + 6);
      if (index !== shown) return;
      context.font = "600 13px 'IBM Plex Sans', system-ui, sans-serif";
      const wide = context.measureText(region.name).width + 12;
      context.fillStyle = colours.visual;
      context.fillRect(x1 - 3, y1 - 22, wide, 19);
      context.fillStyle = colours.surface;
      context.fillText(region.name, x1 + 3, y1 - 8);
    });
    paintSpot(context, place, colours);
  }

  function paintSpot(context, place, colours) {
    const [x, y] = [place.left + state.spot[0] * place.width, place.top + state.spot[1] * place.height];
    context.fillStyle = colours.text;
    context.beginPath();
    context.roundRect(x - 17, y - 13, 34, 26, 13);
    context.fill();
    context.fillStyle = colours.surface;
    context.font = "700 15px 'IBM Plex Sans', system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("42", x, y + 5);
    context.textAlign = "left";
  }

  function paintTiles(context, width, height) {
    const shownPicture = source === "page" || !picture ? page : picture;
    const place = fit(state.size, width, height);
    const colours = Patchwork.readColours(root);
    context.drawImage(shownPicture, place.left, place.top, place.width, place.height);
    const layout = TILINGS[state.family].layOut(state.size);
    const regions = layout.regions.length ? layout.regions : [layout.seen || [0, 0, ...state.size]];
    regions.forEach((region, index) => {
      const [x1, y1, x2, y2] = region.map((value, edge) => (edge % 2 ? place.top : place.left) + value * place.scale);
      context.strokeStyle = "rgba(255, 255, 255, 0.9)";
      context.lineWidth = 4;
      context.strokeRect(x1, y1, x2 - x1, y2 - y1);
      context.strokeStyle = colours.visual;
      context.lineWidth = 2;
      context.strokeRect(x1, y1, x2 - x1, y2 - y1);
      if (regions.length < 2) return;
      const [left, top] = [max(x1, place.left), max(y1, place.top)];
      context.fillStyle = colours.visual;
      context.fillRect(left, top, 20, 17);
      context.fillStyle = colours.surface;
      context.font = "600 12px 'IBM Plex Sans', system-ui, sans-serif";
      context.fillText(String(index + 1), left + 4, top + 13);
    });
    if (!layout.seen) return;
    context.fillStyle = "rgba(20, 18, 15, 0.6)";
    const [x1, y1, x2, y2] = layout.seen.map((value, edge) => (edge % 2 ? place.top : place.left) + value * place.scale);
    context.fillRect(place.left, place.top, place.width, y1 - place.top);
    context.fillRect(place.left, y2, place.width, place.top + place.height - y2);
    context.fillRect(place.left, y1, x1 - place.left, y2 - y1);
    context.fillRect(x2, y1, place.left + place.width - x2, y2 - y1);
  }

  function tell() {
    for (const [name, one] of Object.entries(TILINGS)) {
      const layout = one.layOut(state.size);
      find(root, `tiles-${name}`).textContent = layout.regions.length ? `${layout.columns} × ${layout.rows}` : "none";
      find(root, `tokens-${name}`).textContent = formatCount(layout.tokens);
      find(root, `print-${name}`).textContent = `${measurePrint(layout, state.size).toFixed(1)} px`;
      root.querySelector(`tr[data-name="${name}"]`).toggleAttribute("aria-current", name === state.family);
    }
    const layout = TILINGS[state.family].layOut(state.size);
    find(root, "budget").textContent = describeBudget(TILINGS[state.family].title, layout, state.size);
    redrawTiles();
  }

  function tellSpot() {
    const {meaning} = classify(state.spot);
    find(root, "meaning").textContent = `42 here: ${meaning}.`;
    redrawLayout();
  }

  function moveSpot(x, y) {
    state.spot = [clamp(x, 0.02, 0.98), clamp(y, 0.02, 0.98)];
    tellSpot();
  }

  function moveTo(event) {
    const bounds = spotCanvas.getBoundingClientRect();
    const place = fit([1240, 1754], bounds.width, bounds.height);
    moveSpot((event.clientX - bounds.left - place.left) / place.width, (event.clientY - bounds.top - place.top) / place.height);
  }

  function resize() {
    const whole = source === "page" || !picture ? [1240, 1754] : [picture.naturalWidth || picture.width, picture.naturalHeight || picture.height];
    const scale = state.longest / max(...whole);
    state.size = whole.map((side) => max(28, Math.round(side * scale)));
    tell();
  }

  spotCanvas.addEventListener("pointerdown", (event) => { dragging = true; spotCanvas.setPointerCapture(event.pointerId); spotCanvas.focus({preventScroll: true}); event.preventDefault(); moveTo(event); });
  spotCanvas.addEventListener("pointermove", (event) => { if (dragging) moveTo(event); });
  for (const name of ["pointerup", "pointercancel"]) spotCanvas.addEventListener(name, () => { dragging = false; });
  spotCanvas.addEventListener("keydown", (event) => {
    const [dx, dy] = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]}[event.key] || [];
    if (dx === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    moveSpot(state.spot[0] + dx * 0.04, state.spot[1] + dy * 0.03);
  });
  find(root, "parse").addEventListener("click", () => {
    shown = shown >= REGIONS.length - 1 ? -1 : shown + 1;
    find(root, "parse").textContent = shown >= REGIONS.length - 1 ? "Start again" : shown < 0 ? "Find the first region" : "Next region";
    find(root, "found").textContent = shown < 0 ? "" : `${shown + 1} of ${REGIONS.length}: ${REGIONS[shown].name}`;
    redrawLayout();
  });
  find(root, "source").addEventListener("change", (event) => { source = event.target.value; resize(); });
  find(root, "rows").addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-name]");
    if (row) { state.family = row.dataset.name; tell(); }
  });
  Patchwork.bindSliders(root, (name, value) => { state.longest = value; resize(); }, {longest: (value) => `${formatCount(value)} px`});
  Patchwork.watchPicture((next) => { picture = next; resize(); });
  tellSpot();
}

function describeBudget(title, layout, size) {
  const page = `${formatCount(size[0])} × ${formatCount(size[1])} px`;
  const print = measurePrint(layout, size);
  const legible = print < 8 ? "too small to tell letters apart" : print < 14 ? "just about legible" : "comfortable to read";
  const cut = layout.regions.length ? `${layout.regions.length} tiles of ${layout.tile[0]} px and an overview` : `one view of ${formatCount(layout.tile[0])} × ${formatCount(layout.tile[1])} px`;
  return `${title} sees this page of ${page} as ${cut}: ${formatCount(layout.tokens)} tokens. A line an eightieth of the page high is ${print.toFixed(1)} px there, ${legible}.`;
}

Patchwork.register("documents", {
  start: {size: [1240, 1754], longest: 1754, family: "internvl", spot: [0.77, 0.42]},
  facts, draw, mount: mountDocuments,
  tilings: TILINGS, classify, measurePrint,
});
