/* Drawing a box on a picture: pointer and keys, for the simulation of chapter 7 and the live panel. Knows no model. */

(() => {
  const {clamp, fitCanvas, readColours, watchPicture, drawDefault} = globalThis.Patchwork;

  // ---------------------------------------------------------------- boxes (pure)

  /* Any two corners → left, top, right, bottom in whole pixels, on the picture, never too small to be seen. */
  const settleBox = (box, [width, height]) => {
    const least = Math.max(4, Math.round(Math.max(width, height) * 0.02));
    const x1 = clamp(Math.min(box[0], box[2]), 0, width - least);
    const y1 = clamp(Math.min(box[1], box[3]), 0, height - least);
    const x2 = clamp(Math.max(box[0], box[2]), x1 + least, width);
    const y2 = clamp(Math.max(box[1], box[3]), y1 + least, height);
    return [x1, y1, x2, y2].map(Math.round);
  };

  const shiftBox = ([x1, y1, x2, y2], dx, dy, [width, height]) => {
    const left = clamp(x1 + dx, 0, width - (x2 - x1));
    const top = clamp(y1 + dy, 0, height - (y2 - y1));
    return [left, top, left + x2 - x1, top + y2 - y1];
  };

  /* Intersection over union, as patchwork.boxes.iou. */
  const measureOverlap = (a, b) => {
    const area = ([x1, y1, x2, y2]) => Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
    const shared = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
    const union = area(a) + area(b) - shared;
    return union > 0 ? shared / union : 0;
  };

  /* A frame of this size, as large as fits, in the middle of a place of this width and height. */
  const fitFrame = ([wide, high], width, height) => {
    const scale = Math.min((width - 2) / wide, (height - 2) / high);
    return {scale, left: (width - wide * scale) / 2, top: (height - high * scale) / 2};
  };

  // ---------------------------------------------------------------- drawing one

  /* A corner is pulled, the inside is moved, anywhere else a new box begins; arrow keys move, with Shift they resize.
     `size()` and `box()` tell the state (`box()` may be null), `onBox(box)` changes it, `onDone(box)` ends a change. */
  const letDraw = (canvas, {size, box, onBox, onDone = () => {}}) => {
    let drag = null;

    const locate = (event) => {
      const bounds = canvas.getBoundingClientRect();
      const place = fitFrame(size(), bounds.width, bounds.height);
      const point = [(event.clientX - bounds.left - place.left) / place.scale, (event.clientY - bounds.top - place.top) / place.scale];
      return {point: point.map((value, axis) => clamp(value, 0, size()[axis])), near: 14 / place.scale};
    };
    const startAt = ({point: [x, y], near}) => {
      if (!box()) return {from: [x, y]};
      const [x1, y1, x2, y2] = box();
      const corners = [[x1, y1, x2, y2], [x2, y1, x1, y2], [x1, y2, x2, y1], [x2, y2, x1, y1]];
      const corner = corners.find(([cx, cy]) => Math.abs(cx - x) < near && Math.abs(cy - y) < near);
      if (corner) return {from: [corner[2], corner[3]]};
      if (x > x1 && x < x2 && y > y1 && y < y2) return {grip: [x, y], before: box()};
      return {from: [x, y]};
    };
    const end = () => {
      if (drag && drag.changed) onDone(box());
      drag = null;
    };
    canvas.addEventListener("pointerdown", (event) => {
      drag = startAt(locate(event));
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({preventScroll: true});
      event.preventDefault();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const {point: [x, y]} = locate(event);
      drag.changed = true;
      if (drag.from) return onBox(settleBox([...drag.from, x, y], size()));
      onBox(shiftBox(drag.before, x - drag.grip[0], y - drag.grip[1], size()).map(Math.round));
    });
    canvas.addEventListener("pointerup", end);
    canvas.addEventListener("pointercancel", end);
    canvas.addEventListener("keydown", (event) => {
      const [dx, dy] = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]}[event.key] || [];
      if (dx === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      const [width, height] = size();
      const unit = Math.max(1, Math.round(Math.max(width, height) / 100));
      const now = box() || settleBox([0.3 * width, 0.3 * height, 0.7 * width, 0.7 * height], size());
      const next = event.shiftKey ? [now[0], now[1], now[2] + dx * unit, now[3] + dy * unit] : shiftBox(now, dx * unit, dy * unit, size());
      onBox(settleBox(next, size()));
      onDone(box());
    });
  };

  /* An outline with a white edge, so that it shows on any picture. `place` is what `fitFrame` gave. */
  const strokeBox = (context, place, box, colour, dashed = false) => {
    const [x1, y1, x2, y2] = box.map((value, edge) => (edge % 2 ? place.top : place.left) + value * place.scale);
    context.save();
    if (dashed) context.setLineDash([7, 5]);
    for (const [width, style] of [[5, "rgba(255, 255, 255, 0.9)"], [3, colour]]) {
      context.lineWidth = width;
      context.strokeStyle = style;
      context.strokeRect(x1, y1, x2 - x1, y2 - y1);
    }
    context.restore();
  };

  const fillCorners = (context, place, [x1, y1, x2, y2], colour) => {
    context.fillStyle = colour;
    for (const [x, y] of [[x1, y1], [x2, y1], [x1, y2], [x2, y2]]) {
      context.fillRect(place.left + x * place.scale - 5, place.top + y * place.scale - 5, 10, 10);
    }
  };

  // ---------------------------------------------------------------- the live panel's pad

  /* The reader's picture with their box. Boxes count pixels of the picture as the engine reads it: at most `longest`. */
  const mountPad = (canvas, {longest, onBox, onDone}) => {
    let picture = drawDefault();
    let size = [picture.width, picture.height];
    let box = null;

    const redraw = fitCanvas(canvas, (width) => Math.min(width * 0.82, 340), (context, width, height) => {
      const place = fitFrame(size, width, height);
      context.drawImage(picture, place.left, place.top, size[0] * place.scale, size[1] * place.scale);
      if (!box) return;
      const {text} = readColours(canvas);
      strokeBox(context, place, box, text, true);
      fillCorners(context, place, box, text);
    });
    letDraw(canvas, {size: () => size, box: () => box, onBox: (next) => { box = next; onBox(box); redraw(); }, onDone});
    watchPicture((next) => {
      picture = next;
      const [width, height] = [next.naturalWidth || next.width, next.naturalHeight || next.height];
      const scale = Math.min(1, longest / Math.max(width, height));
      size = [Math.round(width * scale), Math.round(height * scale)];
      box = null;
      redraw();
    });
  };

  /* The overlap of the reader's box with each box of a finished run, without the model. */
  const compareWith = (output, box) => {
    if (!output) return;
    output.querySelectorAll("tr[data-box]").forEach((row) => {
      row.querySelector(".pw-overlap").textContent = measureOverlap(row.dataset.box.split(" ").map(Number), box).toFixed(2);
    });
    output.querySelectorAll(".pw-own-box rect").forEach((rect) => {
      const [x1, y1, x2, y2] = box;
      Object.entries({x: x1, y: y1, width: x2 - x1, height: y2 - y1}).forEach(([name, value]) => rect.setAttribute(name, value));
    });
  };

  Object.assign(globalThis.Patchwork, {settleBox, shiftBox, measureOverlap, fitFrame, letDraw, strokeBox, fillCorners, mountPad, compareWith});
  if (typeof module !== "undefined") module.exports = globalThis.Patchwork;
})();
