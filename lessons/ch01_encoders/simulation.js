/* Patchify: patch size and resolution decide how many tokens a picture becomes, and what they cost. */

const {clamp, formatCount, formatTimes, find, pick} = Patchwork;

/* Width and depth of CLIP ViT-L/14, whose cost the simulation shows. */
const MODEL = {width: 1024, depth: 24, mlp: 4096};
const CHANNELS = 3;
const LARGEST = 896;
const REFERENCE = {patch: 14, side: 224, cls: true};

/* Multiplications and additions of one picture through the encoder: cutting out and projecting the patches, then per
   layer four projections, the two products of attention, and the two layers of the MLP. */
function countFlops(patches, tokens, patch, {width, depth, mlp} = MODEL) {
  const embed = 2 * patches * CHANNELS * patch * patch * width;
  const projections = 4 * 2 * tokens * width * width;
  const attention = 2 * 2 * tokens * tokens * width;
  const feedForward = 2 * 2 * tokens * width * mlp;
  return embed + depth * (projections + attention + feedForward);
}

function measure({patch, side, cls}) {
  const grid = Math.floor(side / patch);
  const patches = grid * grid;
  const tokens = patches + (cls ? 1 : 0);
  return {patch, side, grid, patches, tokens, pairs: tokens * tokens, values: CHANNELS * patch * patch, left: side - grid * patch, flops: countFlops(patches, tokens, patch)};
}

/* What the quiz asks for, beside the counts themselves: a picture twice as large, and near misses. */
function facts(state) {
  const known = measure(state);
  return {
    ...known,
    relative: known.flops / measure(REFERENCE).flops,
    pixels: known.side * known.side,
    area: known.patch * known.patch,
    doubled: known.patches * 2,
    fourfold: measure({...state, side: 2 * state.side}).patches,
    sixteenfold: known.patches * 16,
  };
}

function draw(random) {
  const patch = pick([14, 16, 28, 32], random);
  const grid = 6 + Math.floor(random() * 20);
  return {patch, side: patch * grid, cls: random() < 0.5};
}

function mountPatchify(root, sim) {
  const {state} = sim;
  let square = Patchwork.drawDefault(LARGEST);
  let scaled = null;
  let chosen = 0;

  const cls = find(root, "cls");
  const picture = find(root, "picture");
  const redrawPicture = Patchwork.fitCanvas(picture, (width) => Math.min(width, 320), paintPicture);
  const redrawRow = Patchwork.fitCanvas(find(root, "row"), () => 74, paintRow);

  function paintPicture(context, width, height) {
    const size = Math.min(width, height);
    const {grid, patch, side} = measure(state);
    const unit = size / side;
    context.imageSmoothingEnabled = false;
    context.drawImage(scaled, 0, 0, size, size);
    const covered = grid * patch * unit;
    context.fillStyle = "rgba(20, 18, 15, 0.62)";
    context.fillRect(covered, 0, size - covered, size);
    context.fillRect(0, covered, covered, size - covered);
    context.beginPath();
    for (let line = 0; line <= grid; line += 1) {
      const at = line * patch * unit;
      context.moveTo(at, 0);
      context.lineTo(at, covered);
      context.moveTo(0, at);
      context.lineTo(covered, at);
    }
    context.strokeStyle = "rgba(255, 255, 255, 0.75)";
    context.lineWidth = patch * unit > 6 ? 1 : 0.4;
    context.stroke();
    const [column, row] = [chosen % grid, Math.floor(chosen / grid)];
    context.strokeStyle = Patchwork.readColours(root).visual;
    context.lineWidth = 3;
    context.strokeRect(column * patch * unit, row * patch * unit, patch * unit, patch * unit);
  }

  /* As many patches as fit, the chosen one among them. */
  function paintRow(context, width) {
    const {grid, patches, patch} = measure(state);
    const [tile, gap, lines] = [22, 2, 3];
    const perLine = Math.max(1, Math.floor(width / (tile + gap)));
    const shown = Math.min(patches, perLine * lines);
    const first = clamp(chosen - Math.floor(shown / 2), 0, patches - shown);
    const colours = Patchwork.readColours(root);
    for (let place = 0; place < shown; place += 1) {
      const index = first + place;
      const [x, y] = [(place % perLine) * (tile + gap), Math.floor(place / perLine) * (tile + gap)];
      context.drawImage(scaled, (index % grid) * patch, Math.floor(index / grid) * patch, patch, patch, x, y, tile, tile);
      if (index !== chosen) continue;
      context.strokeStyle = colours.visual;
      context.lineWidth = 3;
      context.strokeRect(x + 1, y + 1, tile - 2, tile - 2);
    }
    const all = first === 0 && shown === patches;
    find(root, "caption").textContent = all
      ? `All ${formatCount(patches)} patches in one row, read line by line.`
      : `Patches ${formatCount(first + 1)} to ${formatCount(first + shown)} of ${formatCount(patches)}, as one row.`;
  }

  function tell() {
    const known = facts(state);
    chosen = clamp(chosen, 0, known.patches - 1);
    find(root, "grid").textContent = `${known.grid} × ${known.grid}`;
    find(root, "patches").textContent = formatCount(known.patches);
    find(root, "values").textContent = `${CHANNELS} × ${known.patch} × ${known.patch} = ${formatCount(known.values)}`;
    find(root, "pairs").textContent = formatCount(known.pairs);
    find(root, "flops").textContent = `${formatCount(known.flops)} operations`;
    find(root, "relative").textContent = formatTimes(known.relative);
    find(root, "left").textContent = known.left
      ? `${known.left} pixels on the right and below fit no whole patch (darkened). Real preparation picks a size that divides evenly.`
      : "";
    const [column, row] = [chosen % known.grid, Math.floor(chosen / known.grid)];
    find(root, "chosen").textContent = `Patch ${formatCount(chosen + 1)}: line ${row + 1}, column ${column + 1}. Flattened, it is a list of ${formatCount(known.values)} numbers.`;
    redrawPicture();
    redrawRow();
  }

  function rescale() {
    scaled = Patchwork.cropSquare(square, state.side);
  }

  rescale();
  Patchwork.bindSliders(root, (name, value) => {
    state[name] = value;
    if (name === "side") rescale();
    tell();
  }, {patch: (value) => `${value} px`, side: (value) => `${value} px`});
  cls.checked = state.cls;
  cls.addEventListener("change", () => { state.cls = cls.checked; tell(); });

  picture.addEventListener("pointerdown", (event) => {
    const box = picture.getBoundingClientRect();
    const {grid, patch, side} = measure(state);
    const unit = Math.min(box.width, box.height) / side;
    const at = (offset) => clamp(Math.floor(offset / unit / patch), 0, grid - 1);
    chosen = at(event.clientY - box.top) * grid + at(event.clientX - box.left);
    tell();
  });
  picture.addEventListener("keydown", (event) => {
    const {grid, patches} = measure(state);
    const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: grid, ArrowUp: -grid}[event.key];
    if (!step) return;
    event.preventDefault();
    if (chosen + step >= 0 && chosen + step < patches) chosen += step;
    tell();
  });
  Patchwork.watchPicture((next) => { square = Patchwork.cropSquare(next, LARGEST); rescale(); tell(); });
}

Patchwork.register("encoders", {start: {patch: 14, side: 224, cls: true}, facts, draw, mount: mountPatchify});
