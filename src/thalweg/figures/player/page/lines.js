// @ts-check
// The traces over either picture: a cased line each, a mark at the head, and a name beside it.

import { drawMark, haloText } from "./canvas.js";

const FAR = 1e4; // pixels: beyond this a line only leaves the picture
const NEAR = 0.5; // pixels

/**
 * @typedef {object} TraceLine
 * @property {string} label
 * @property {string} color
 * @property {number[]} dash
 * @property {string} mark
 * @property {boolean} [dots] whether every kept step has a dot
 * @property {(index: number) => [number, number]} point where a kept step lies on the canvas
 *
 * @param {CanvasRenderingContext2D} context
 * @param {TraceLine[]} traces
 * @param {number} last index up to which each is drawn
 */
export function drawLines(context, traces, last, frame, colors) {
  const lines = traces.map((trace) => lineOf(trace, last));
  for (const line of lines) stroke(context, line, colors.background, 5, []); // all casings first: they hide no line
  traces.forEach(({ color, dash }, number) => stroke(context, lines[number], color, 2.2, dash));
  for (const trace of traces) if (trace.dots) drawDots(context, trace, last, colors);
  const heads = traces.flatMap((trace) => head(trace, last, frame));
  for (const { trace, x, y } of heads) drawMark(context, trace.mark, x, y, 5, trace.color, colors.background);
  drawLabels(context, heads, frame, colors);
}

function lineOf(trace, last) {
  return polyline(last + 1, (index) => trace.point(index));
}

/**
 * A line through points in pixels, broken where there is none or where it is far away. A point that lies within half a
 * pixel of the one before it changes nothing that is seen, and is left out: most steps of a path are such.
 * @param {number} count
 * @param {(index: number) => [number, number]} point
 */
export function polyline(count, point) {
  const line = new Path2D();
  let broken = true;
  let [fromX, fromY] = [0, 0];
  for (let index = 0; index < count; index += 1) {
    const [x, y] = point(index);
    const seen = Math.abs(x) < FAR && Math.abs(y) < FAR; // comparisons with NaN are false
    if (!seen) {
      broken = true;
      continue;
    }
    if (!broken && index < count - 1 && Math.abs(x - fromX) < NEAR && Math.abs(y - fromY) < NEAR) continue;
    if (broken) line.moveTo(x, y);
    else line.lineTo(x, y);
    broken = false;
    [fromX, fromY] = [x, y];
  }
  return line;
}

/** Stroke a line of the given width; the dash is taken back. */
export function stroke(context, line, color, width, dash) {
  context.setLineDash(dash);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke(line);
  context.setLineDash([]);
}

function drawDots(context, trace, last, colors) {
  for (let index = 0; index < last; index += 1) drawMark(context, "circle", ...trace.point(index), 1.8, trace.color, colors.background);
}

/** Where the mark stands: nothing when the path is out of the picture. */
function head(trace, last, frame) {
  const [x, y] = trace.point(last);
  const inside = x >= frame.left && x <= frame.right && y >= frame.top && y <= frame.bottom;
  return inside ? [{ trace, x, y }] : [];
}

/** Labels to the right of the heads (to the left near the edge), pushed apart until none covers another or a head. */
function drawLabels(context, heads, frame, colors) {
  const taken = heads.map(({ x, y }) => ({ left: x - 6, right: x + 6, y }));
  context.textBaseline = "middle";
  context.textAlign = "left";
  for (const { trace, x, y } of [...heads].sort((one, other) => one.y - other.y)) {
    const width = context.measureText(trace.label).width;
    const left = x + 12 + width > frame.right ? Math.max(frame.left + 4, x - 12 - width) : x + 12;
    const box = { left, right: left + width, y: freeRow(taken, left, left + width, y, frame) };
    taken.push(box);
    if (Math.abs(box.y - y) > 6) leader(context, x, y, left < x ? box.right + 2 : left - 2, box.y, trace.color);
    haloText(context, trace.label, left, box.y, trace.color, colors.background);
  }
}

const ROW = 15;

function freeRow(taken, left, right, y, frame) {
  const free = (row) => taken.every((box) => Math.abs(box.y - row) >= ROW || box.right < left || box.left > right);
  for (let shift = 0; shift < 40; shift += 1) {
    for (const row of [y + shift * 4, y - shift * 4]) {
      if (row > frame.top + 8 && row < frame.bottom - 8 && free(row)) return row;
    }
  }
  return y;
}

function leader(context, fromX, fromY, toX, toY, color) {
  context.beginPath();
  context.moveTo(fromX, fromY);
  context.lineTo(toX, toY);
  context.lineWidth = 1;
  context.strokeStyle = color;
  context.stroke();
}
