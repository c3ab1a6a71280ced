/* Coordinates: one box, written the way each model family writes it, and read back, rightly or wrongly. */

const {clamp, formatCount, find, pick, measureOverlap, fitFrame, strokeBox} = Patchwork;

// ---------------------------------------------------------------- arithmetic (pure; patchwork/boxes.py does the same)

/* Halves go to the even neighbour, as in Python and NumPy. */
function roundEven(value) {
  const whole = Math.floor(value);
  if (value - whole !== 0.5) return Math.round(value);
  return whole % 2 === 0 ? whole : whole + 1;
}

/* Three places. Only odd sixteenths lie exactly between two of them; toFixed would round those up. */
const toThousandths = (value) => (Number.isInteger(value * 16) ? (roundEven(value * 1000) / 1000).toFixed(3) : value.toFixed(3));

const floorTo = (bins) => (box) => box.map((value) => clamp(Math.floor(value * bins), 0, bins - 1));
const roundTo = (steps, largest) => (box) => box.map((value) => clamp(roundEven(value * steps), 0, largest));
const divideBy = (steps, inset = 0) => (numbers) => numbers.map((number) => (number + inset) / steps);
const pad = (number, places) => String(number).padStart(places, "0");

/* `write` and `read`: shares 0…1 of the frame ↔ numbers. Frames: the picture, the padded square, the resized picture. */
const CONVENTIONS = {
  tiny_percent: {
    models: "Tiny LLaVA (bundled)", title: "two digits, 00 to 99", frame: "square", steps: 100,
    write: floorTo(100), read: divideBy(100, 0.5),
    format: (numbers) => `[${numbers.map((number) => pad(number, 2)).join(" ")}]`,
    pattern: /\[(\d\d) (\d\d) (\d\d) (\d\d)\]/,
  },
  shikra: {
    models: "Shikra", title: "decimals from 0 to 1", frame: "square", steps: 1000,
    write: (box) => box, read: (numbers) => numbers,
    format: (numbers) => `[${numbers.map(toThousandths).join(",")}]`,
    pattern: /\[(\d(?:\.\d*)?),(\d(?:\.\d*)?),(\d(?:\.\d*)?),(\d(?:\.\d*)?)\]/,
  },
  kosmos2: {
    models: "Kosmos-2", title: "two patch numbers on a 32 × 32 grid", frame: "original", steps: 32,
    write: writePatches, read: readPatches,
    format: (numbers) => `<object>${numbers.map((number) => `<patch_index_${pad(number, 4)}>`).join("")}</object>`,
    pattern: /<patch_index_(\d+)><patch_index_(\d+)>/,
  },
  paligemma: {
    models: "PaliGemma", title: "location tokens of 1024, y first", frame: "original", steps: 1024, yFirst: true,
    write: roundTo(1023, 1023), read: divideBy(1024),
    format: (numbers) => numbers.map((number) => `<loc${pad(number, 4)}>`).join(""),
    pattern: /<loc(\d{4})><loc(\d{4})><loc(\d{4})><loc(\d{4})>/,
  },
  florence2: {
    models: "Florence-2", title: "location tokens of 1000", frame: "original", steps: 1000,
    write: floorTo(1000), read: divideBy(1000, 0.5),
    format: (numbers) => numbers.map((number) => `<loc_${number}>`).join(""),
    pattern: /<loc_(\d+)><loc_(\d+)><loc_(\d+)><loc_(\d+)>/,
  },
  thousandths: {
    models: "Qwen-VL, Qwen2-VL, Qwen3-VL", title: "whole numbers from 0 to 1000", frame: "original", steps: 1000,
    write: roundTo(1000, 1000), read: divideBy(1000),
    format: ([x1, y1, x2, y2]) => `<|box_start|>(${x1},${y1}),(${x2},${y2})<|box_end|>`,
    pattern: /\((\d+),(\d+)\),\((\d+),(\d+)\)/,
  },
  qwen25_pixels: {
    models: "Qwen2.5-VL", title: "pixels of the resized picture", frame: "resized", steps: 0,
    write: (box, frame) => box.map((value, edge) => roundEven(value * frame[edge % 2])),
    read: (numbers, frame) => numbers.map((number, edge) => number / frame[edge % 2]),
    format: (numbers) => `{"bbox_2d": [${numbers.join(", ")}]}`,
    pattern: /\[(\d+), (\d+), (\d+), (\d+)\]/,
  },
  doctags: {
    models: "SmolDocling, Granite-Docling", title: "location tokens from 0 to 500", frame: "original", steps: 500,
    write: roundTo(500, 499), read: divideBy(500),
    format: (numbers) => numbers.map((number) => `<loc_${number}>`).join(""),
    pattern: /<loc_(\d+)><loc_(\d+)><loc_(\d+)><loc_(\d+)>/,
  },
};

/* Corners → row-major numbers of the patches that hold them. */
function writePatches(box) {
  const [x1, y1] = box.slice(0, 2).map((value) => clamp(Math.floor(value * 32), 0, 31));
  const [x2, y2] = box.slice(2).map((value) => clamp(Math.ceil(value * 32 - 1), 0, 31));
  return [y1 * 32 + x1, y2 * 32 + x2];
}

/* Corners lie in the middle of their patches, at the outer edges where both share a row or a column. */
function readPatches([first, last]) {
  const [x1, y1, x2, y2] = [first % 32, Math.floor(first / 32), last % 32, Math.floor(last / 32)];
  const inset = x1 === x2 || y1 === y2 ? 0 : 0.5;
  return [(x1 + inset) / 32, (y1 + inset) / 32, (x2 + 1 - inset) / 32, (y2 + 1 - inset) / 32];
}

/* What the numbers count: [region in pixels of the picture, [width, height] of the frame itself]. */
function findFrame(kind, [width, height], resized) {
  if (kind === "resized") return [[0, 0, width, height], resized];
  if (kind === "original") return [[0, 0, width, height], [width, height]];
  const side = Math.max(width, height);
  const [left, top] = [Math.floor((side - width) / 2), Math.floor((side - height) / 2)];
  return [[-left, -top, side - left, side - top], [side, side]];
}

const toShares = (box, region) => box.map((value, edge) => (value - region[edge % 2]) / (region[2 + (edge % 2)] - region[edge % 2]));
const fromShares = (shares, region) => shares.map((share, edge) => region[edge % 2] + share * (region[2 + (edge % 2)] - region[edge % 2]));
const swapAxes = ([a, b, c, d]) => [b, a, d, c];

function writeNumbers(name, box, size, resized) {
  const convention = CONVENTIONS[name];
  const [region, frame] = findFrame(convention.frame, size, resized);
  const numbers = convention.write(toShares(box, region), frame);
  return convention.yFirst ? swapAxes(numbers) : numbers;
}

const writeBox = (name, box, size, resized) => CONVENTIONS[name].format(writeNumbers(name, box, size, resized));

const parseNumbers = (name, text) => text.match(CONVENTIONS[name].pattern).slice(1).map(Number);

function readBox(name, text, size, resized) {
  const convention = CONVENTIONS[name];
  const [region, frame] = findFrame(convention.frame, size, resized);
  const numbers = parseNumbers(name, text);
  return fromShares(convention.read(convention.yFirst ? swapAxes(numbers) : numbers, frame), region);
}

/* Qwen's rule: both sides multiples of `factor`, the number of pixels within bounds, the shape kept as well as can be. */
function resizeToMultiple([width, height], factor, fewest, most) {
  let [wide, high] = [width, height].map((side) => roundEven(side / factor) * factor);
  if (wide * high > most) {
    const shrink = Math.sqrt((width * height) / most);
    [wide, high] = [width, height].map((side) => Math.max(factor, Math.floor(side / shrink / factor) * factor));
  } else if (wide * high < fewest) {
    const grow = Math.sqrt(fewest / (width * height));
    [wide, high] = [width, height].map((side) => Math.ceil((side * grow) / factor) * factor);
  }
  return [wide, high];
}

/* How each family prepares a picture before the model sees it. */
const ROUTES = {
  tiny_percent: {prepare: "pad", side: globalThis.PATCHWORK.llava.vision_config.image_size},
  shikra: {prepare: "pad", side: 224},
  kosmos2: {prepare: "stretch", side: 224},
  paligemma: {prepare: "stretch", side: 224},
  florence2: {prepare: "stretch", side: 768},
  thousandths: {prepare: "multiple", factor: 32, model: "Qwen3-VL"},
  qwen25_pixels: {prepare: "multiple", factor: 28},
  doctags: {prepare: "keep"},
};

const resizeQwen = (size, factor = 28) => resizeToMultiple(size, factor, factor * factor * 4, factor * factor * 1280);

/* The size after resizing and after padding, and where the picture lies in the padded frame. */
function prepare(name, size) {
  const route = ROUTES[name];
  const [width, height] = size;
  if (route.prepare === "stretch") return {resized: [route.side, route.side], frame: [route.side, route.side], left: 0, top: 0};
  if (route.prepare === "multiple") {
    const resized = resizeQwen(size, route.factor);
    return {resized, frame: resized, left: 0, top: 0};
  }
  if (route.prepare === "keep") return {resized: size, frame: size, left: 0, top: 0};
  const side = Math.max(width, height);
  const scale = route.side / side;
  const [region] = findFrame("square", size);
  return {resized: [width * scale, height * scale], frame: [route.side, route.side], left: -region[0] * scale, top: -region[1] * scale};
}

// ---------------------------------------------------------------- reading wrongly (pure)

const MISREADINGS = {
  right: {label: "the way they were written", fits: () => true},
  swapped: {label: "with x and y exchanged", fits: () => true},
  pixels: {label: "as pixels of your picture", fits: (name) => name !== "kosmos2"},
  thousandths: {label: "as 0 to 1000 of your picture", fits: (name) => !["kosmos2", "thousandths"].includes(name)},
  frame: {label: "with the padding forgotten", fits: (name) => CONVENTIONS[name].frame === "square"},
  square: {label: "as if it had been padded to a square", fits: (name) => CONVENTIONS[name].frame === "original"},
};

function misread(kind, name, text, size, resized) {
  if (kind === "right") return readBox(name, text, size, resized);
  const convention = CONVENTIONS[name];
  let numbers = parseNumbers(name, text);
  if (kind === "swapped") {
    const box = convention.yFirst ? numbers : swapAxes(name === "kosmos2" ? readPatches(numbers) : numbers);
    const [region, frame] = findFrame(convention.frame, size, resized);
    return fromShares(name === "kosmos2" ? box : convention.read(box, frame), region);
  }
  if (convention.yFirst) numbers = swapAxes(numbers);
  if (kind === "pixels") return numbers;
  if (kind === "thousandths") return fromShares(divideBy(1000)(numbers), [0, 0, ...size]);
  const [region, frame] = findFrame(kind === "frame" ? "original" : "square", size, resized);
  return fromShares(convention.read(numbers, frame), region);
}

/* Everything the page shows. `resized` is what Qwen2.5-VL's numbers count. */
function measure({size, box, name, reading}) {
  const resized = resizeQwen(size);
  const text = writeBox(name, box, size, resized);
  const back = misread(reading, name, text, size, resized);
  const error = Math.max(...back.map((value, edge) => Math.abs(value - box[edge])));
  return {text, back, error, overlap: measureOverlap(box, back), resized, prepared: prepare(name, size)};
}

/* The quiz asks for the right edge in thousandths; the near misses are the same edge in other conventions. */
function facts(state) {
  const share = Math.max(0.06, state.box[2] / state.size[0]);
  const edge = Math.round(share * state.size[0]);
  const exact = edge / state.size[0];
  return {
    width: state.size[0],
    height: state.size[1],
    edge,
    thousandth: String(roundEven(exact * 1000)),
    percent: String(roundEven(exact * 100)),
    bins: String(roundEven(exact * 1023)),
    column: String(Math.min(31, Math.floor(exact * 32))),
  };
}

function draw(random) {
  const size = [pick([640, 800, 1024, 1280], random), pick([480, 600, 720], random)];
  const x2 = Math.round(size[0] * (0.2 + 0.7 * random()));
  return {size, box: [0, 0, x2, Math.round(size[1] / 2)], name: "thousandths", reading: "right"};
}

// ---------------------------------------------------------------- the page

const STEPS = ["Your picture", "Resize", "Pad", "Model's frame", "Tokens", "Back"];

function mountCoordinates(root, sim) {
  const {state} = sim;
  const canvas = find(root, "picture");
  let picture = Patchwork.drawDefault();
  let step = 0;

  fillSelect("route", Object.entries(CONVENTIONS).map(([name, one]) => [name, ROUTES[name].model || one.models]));
  find(root, "steps").innerHTML = STEPS.map((name, index) => `<li><button type="button" data-step="${index}">${name}</button></li>`).join("");
  find(root, "rows").innerHTML = Object.entries(CONVENTIONS).map(([name, one]) => `<tr data-name="${name}"><td><button type="button">${one.models}</button><small>${one.title}</small></td><td><code data-part="text-${name}"></code></td><td data-part="error-${name}"></td></tr>`).join("");

  const redrawPicture = Patchwork.fitCanvas(canvas, heightFor, paintPicture);
  const redrawStage = Patchwork.fitCanvas(find(root, "stage"), heightFor, paintStage);

  function fillSelect(part, entries) {
    const select = find(root, part);
    select.innerHTML = entries.map(([value, words]) => `<option value="${value}">${words}</option>`).join("");
  }

  function heightFor(width) {
    return Math.min(width * 0.82, 380);
  }

  function writeLabel(context, label, [x, y], colour, [right, bottom]) {
    context.font = "600 13px 'IBM Plex Sans', system-ui, sans-serif";
    const width = context.measureText(label).width + 10;
    const left = clamp(x, 0, Math.max(0, right - width));
    const top = clamp(y - 22, 0, bottom - 20);
    context.fillStyle = colour;
    context.fillRect(left, top, width, 19);
    context.fillStyle = "#fff";
    context.fillText(label, left + 5, top + 14);
  }

  function paintPicture(context, width, height) {
    const place = fitFrame(state.size, width, height);
    context.drawImage(picture, place.left, place.top, state.size[0] * place.scale, state.size[1] * place.scale);
    const colours = Patchwork.readColours(root);
    strokeBox(context, place, state.box, colours.visual);
    Patchwork.fillCorners(context, place, state.box, colours.visual);
  }

  function paintStage(context, width, height) {
    const known = measure(state);
    const colours = Patchwork.readColours(root);
    if (step === 0 || step === 5) return paintBack(context, width, height, known, colours);
    const {resized, frame, left, top} = known.prepared;
    const shown = step === 1 ? resized : frame;
    const offset = step === 1 ? [0, 0] : [left, top];
    const place = fitFrame(shown, width, height);
    context.fillStyle = "#7f7f7f";
    context.fillRect(place.left, place.top, shown[0] * place.scale, shown[1] * place.scale);
    context.drawImage(picture, place.left + offset[0] * place.scale, place.top + offset[1] * place.scale, resized[0] * place.scale, resized[1] * place.scale);
    if (step >= 3) paintBins(context, place, frame);
    const box = moveBox(state.box, state.size, resized, offset);
    strokeBox(context, place, box, step === 4 ? colours.output : colours.visual);
  }

  function paintBack(context, width, height, known, colours) {
    const place = fitFrame(state.size, width, height);
    context.drawImage(picture, place.left, place.top, state.size[0] * place.scale, state.size[1] * place.scale);
    strokeBox(context, place, state.box, colours.visual, step === 5);
    if (step !== 5) return;
    const colour = state.reading === "right" ? colours.output : "#c62f3b";
    strokeBox(context, place, known.back, colour);
    const corner = [place.left + known.back[0] * place.scale, place.top + known.back[1] * place.scale];
    writeLabel(context, "read back", corner, colour, [width, height]);
  }

  /* The convention's steps, where they are wide enough to be seen. */
  function paintBins(context, place, frame) {
    const {steps} = CONVENTIONS[state.name];
    const shown = steps && steps <= 100 ? steps : 10;
    context.strokeStyle = "rgba(255, 255, 255, 0.6)";
    context.lineWidth = shown > 40 ? 0.4 : 0.8;
    context.beginPath();
    for (let line = 0; line <= shown; line += 1) {
      const [x, y] = [place.left + (line / shown) * frame[0] * place.scale, place.top + (line / shown) * frame[1] * place.scale];
      context.moveTo(x, place.top);
      context.lineTo(x, place.top + frame[1] * place.scale);
      context.moveTo(place.left, y);
      context.lineTo(place.left + frame[0] * place.scale, y);
    }
    context.stroke();
  }

  function tell() {
    const known = measure(state);
    const wrong = state.reading !== "right";
    find(root, "where").textContent = `${state.size[0]} × ${state.size[1]} px, box (${state.box.map((value) => Math.round(value)).join(", ")})`;
    find(root, "say").textContent = describe(step, state, known);
    find(root, "text").textContent = known.text;
    find(root, "back").textContent = `(${known.back.map((value) => value.toFixed(1)).join(", ")})`;
    find(root, "error").textContent = `${known.error.toFixed(1)} px`;
    find(root, "overlap").textContent = known.overlap.toFixed(2);
    find(root, "caption").textContent = step === 5 ? "Back: your box is dashed" : STEPS[step];
    root.classList.toggle("pw-coords-wrong", wrong);
    [...find(root, "steps").children].forEach((item, index) => item.toggleAttribute("aria-current", index === step));
    for (const [name] of Object.entries(CONVENTIONS)) tellRow(name, known.resized);
    redrawPicture();
    redrawStage();
  }

  function tellRow(name, resized) {
    const text = writeBox(name, state.box, state.size, resized);
    const back = readBox(name, text, state.size, resized);
    const error = Math.max(...back.map((value, edge) => Math.abs(value - state.box[edge])));
    find(root, `text-${name}`).textContent = text;
    find(root, `error-${name}`).textContent = `${error.toFixed(1)} px`;
    root.querySelector(`tr[data-name="${name}"]`).toggleAttribute("aria-current", name === state.name);
  }

  /* Only the mistakes that can be made with this convention are offered. */
  function choose(name) {
    state.name = name;
    find(root, "route").value = name;
    const fitting = Object.entries(MISREADINGS).filter(([, one]) => one.fits(name));
    fillSelect("reading", fitting.map(([key, one]) => [key, one.label]));
    if (!MISREADINGS[state.reading].fits(name)) state.reading = "right";
    find(root, "reading").value = state.reading;
    tell();
  }

  Patchwork.letDraw(canvas, {size: () => state.size, box: () => state.box, onBox: (box) => { state.box = box; tell(); }});
  find(root, "route").addEventListener("change", (event) => choose(event.target.value));
  find(root, "reading").addEventListener("change", (event) => { state.reading = event.target.value; step = 5; tell(); });
  find(root, "steps").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-step]");
    if (button) { step = Number(button.dataset.step); tell(); }
  });
  find(root, "next").addEventListener("click", () => { step = (step + 1) % STEPS.length; tell(); });
  find(root, "rows").addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-name]");
    if (row) choose(row.dataset.name);
  });
  Patchwork.watchPicture((next) => {
    picture = next;
    state.size = [next.naturalWidth || next.width, next.naturalHeight || next.height];
    const [width, height] = state.size;
    state.box = [0.22 * width, 0.3 * height, 0.6 * width, 0.76 * height].map(Math.round);
    choose(state.name);
  });
}

/* A box of the picture, after resizing the picture and moving it by `offset`. */
function moveBox(box, size, resized, offset) {
  return box.map((value, edge) => (value * resized[edge % 2]) / size[edge % 2] + offset[edge % 2]);
}

const showSize = (size) => size.map((value) => formatCount(value)).join(" × ");
const showBox = (box) => `(${box.map((value) => value.toFixed(1).replace(/\.0$/, "")).join(", ")})`;

/* One sentence for each step, made of the numbers of this picture. */
function describe(step, state, known) {
  const route = ROUTES[state.name];
  const {resized, frame, left, top} = known.prepared;
  const [across, down] = [resized[0] / state.size[0], resized[1] / state.size[1]];
  const convention = CONVENTIONS[state.name];
  if (step === 0) return `Your picture is ${showSize(state.size)} pixels. The box, in its own pixels: ${showBox(state.box)}, as left, top, right, bottom.`;
  if (step === 1) {
    const rule = {stretch: "stretched, whatever its shape", pad: "scaled so that its longer side fits", multiple: `rounded to multiples of ${route.factor}`, keep: "left as it is, for the numbers count the whole page"}[route.prepare];
    return `${showSize(state.size)} becomes ${showSize(resized)}: ${rule}. Across, everything is multiplied by ${across.toFixed(3)}; down, by ${down.toFixed(3)}.`;
  }
  if (step === 2) {
    if (route.prepare !== "pad") return "Nothing is padded here: the resized picture fills the frame.";
    return `Grey is added to make a square: ${Math.round(left)} px on the left, ${Math.round(top)} px on top. The box moves by as much.`;
  }
  const inside = moveBox(state.box, state.size, resized, [left, top]);
  if (step === 3) return `The model's frame is ${showSize(frame)}. In it the box lies at ${showBox(inside)}. ${describeBins(convention)}`;
  if (step === 4) return `${convention.title[0].toUpperCase()}${convention.title.slice(1)}: ${known.text}`;
  if (state.reading === "right") return `Read back: ${showBox(known.back)} in your picture's pixels, at most ${known.error.toFixed(1)} px beside your box. What is lost is the rounding.`;
  return `Read ${MISREADINGS[state.reading].label}, the same text gives ${showBox(known.back)}. The overlap with your box is ${known.overlap.toFixed(2)}. The model was right; its reader was wrong.`;
}

function describeBins(convention) {
  if (!convention.steps) return "Its numbers are whole pixels of this frame.";
  if (convention.steps > 100) return `Each side is divided into ${convention.steps} steps, too fine to draw; the lines show tenths.`;
  return `Each side is divided into ${convention.steps} steps.`;
}

Patchwork.register("grounding", {
  start: {size: [336, 336], box: [74, 101, 202, 255], name: "florence2", reading: "right"},
  facts, draw, mount: mountCoordinates,
  conventions: CONVENTIONS, writeBox, readBox, misread, measure, resizeToMultiple,
});
