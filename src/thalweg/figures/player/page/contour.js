// @ts-check
// The surface from above: pale shading, labelled contour lines, critical points. Kept as a picture until window, size
// or colors change.

import { drawAxes, frameOf } from "./axes.js";
import { clipTo, drawCritical, haloText, useFont } from "./canvas.js";
import { makeScale } from "./scales.js";

/**
 * @typedef {object} Surface
 * @property {[[number, number], [number, number]]} window
 * @property {[string, string]} axes their names
 * @property {Uint16Array} heights rows from the lowest y up, 65535 the highest
 * @property {number} side rows and columns of `heights`
 * @property {Float32Array} lines points of all contour lines, x and y in turn
 * @property {Uint32Array} starts the point at which each line starts, and where the last one ends
 * @property {Uint16Array} levelOf each line's index into `levels`
 * @property {string[]} levels
 * @property {{kind: string, x: number, y: number, height: number}[]} critical
 * @property {number} criticalSize of their marks, usually 1
 * @property {{height: number, text: string}[]} heightTicks
 * @property {string} heightName
 */

/** @param {Surface} surface */
export function contourView(surface) {
  let kept = null;
  let keptFor = "";
  return {
    /** @returns frame and scales, for who draws on top */
    draw(context, width, height, shown, colors) {
      const frame = frameOf(width, height, { left: 58 });
      const x = makeScale("linear", shown[0], [frame.left, frame.right]);
      const y = makeScale("linear", shown[1], [frame.bottom, frame.top]);
      const wanted = JSON.stringify([width, height, shown, colors, window.devicePixelRatio]);
      if (wanted !== keptFor) {
        kept = paint(surface, width, height, frame, { x, y }, colors);
        keptFor = wanted;
      }
      context.drawImage(kept, 0, 0, width, height);
      return {
        frame,
        shown,
        point: (px, py) => [x(px), y(py)],
        place: (px, py) => [x.invert(px), y.invert(py)],
      };
    },
  };
}

function paint(surface, width, height, frame, { x, y }, colors) {
  const ratio = window.devicePixelRatio || 1;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width * ratio, height * ratio];
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  useFont(context);
  clipTo(context, frame);
  const [[left, right], [low, high]] = surface.window;
  context.imageSmoothingQuality = "high";
  context.drawImage(shading(surface, colors), x(left), y(high), x(right) - x(left), y(low) - y(high));
  drawLines(context, surface, frame, { x, y }, colors);
  for (const { kind, x: px, y: py } of surface.critical) {
    drawCritical(context, kind, x(px), y(py), colors.ink, colors.background, surface.criticalSize);
  }
  context.restore();
  drawAxes(context, frame, { x, y, xName: surface.axes[0], yName: surface.axes[1], colors, grid: false });
  return canvas;
}

/** The heights as a small picture, one pixel a grid point, the highest row first. */
function shading({ heights, side }, colors) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [side, side];
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  const [low, high] = [rgb(colors.low), rgb(colors.high)];
  for (let row = 0; row < side; row += 1) {
    for (let column = 0; column < side; column += 1) {
      const height = heights[(side - 1 - row) * side + column] / 65535;
      const pixel = 4 * (row * side + column);
      for (let band = 0; band < 3; band += 1) image.data[pixel + band] = low[band] + (high[band] - low[band]) * height;
      image.data[pixel + 3] = 255;
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** `#rrggbb` to three numbers. */
export function rgb(hex) {
  return [1, 3, 5].map((start) => Number.parseInt(hex.slice(start, start + 2), 16));
}

function drawLines(context, surface, frame, { x, y }, colors) {
  const labels = [];
  context.lineWidth = 1;
  context.strokeStyle = colors.contour;
  for (let line = 0; line < surface.levelOf.length; line += 1) {
    const points = [];
    for (let at = surface.starts[line]; at < surface.starts[line + 1]; at += 1) {
      points.push([x(surface.lines[2 * at]), y(surface.lines[2 * at + 1])]);
    }
    context.beginPath();
    for (const [px, py] of points) context.lineTo(px, py);
    context.stroke();
    const spot = labelSpot(points, frame, labels, surface.levelOf.length > MANY ? FAR_APART : APART);
    if (spot) labels.push({ ...spot, text: surface.levels[surface.levelOf[line]] });
  }
  context.textAlign = "center";
  context.textBaseline = "middle";
  for (const { at, angle, text } of labels) {
    context.save();
    context.translate(at[0], at[1]);
    context.rotate(angle);
    haloText(context, text, 0, 0, colors.muted, colors.background);
    context.restore();
  }
}

const APART = 46; // pixels between two labels
const FAR_APART = 110; // the same, where there are many lines
const MANY = 120; // lines
const LONG = 70; // a shorter line gets none

/** A place for the line's label: well inside, away from other labels, and as far along as the middle allows. */
function labelSpot(points, frame, labels, apart) {
  let length = 0;
  for (let at = 1; at < points.length; at += 1) {
    length += Math.hypot(points[at][0] - points[at - 1][0], points[at][1] - points[at - 1][1]);
  }
  if (length < LONG) return null;
  for (const share of [0.5, 0.3, 0.7, 0.4, 0.6, 0.2, 0.8, 0.1, 0.9]) {
    const at = Math.min(points.length - 2, Math.max(1, Math.round(share * points.length)));
    const [px, py] = points[at];
    const inside = px > frame.left + 22 && px < frame.right - 22 && py > frame.top + 10 && py < frame.bottom - 10;
    if (!inside || labels.some((label) => Math.hypot(label.at[0] - px, label.at[1] - py) < apart)) continue;
    const [before, after] = [points[at - 1], points[at + 1]];
    let angle = Math.atan2(after[1] - before[1], after[0] - before[0]);
    if (Math.abs(angle) > Math.PI / 2) angle -= Math.sign(angle) * Math.PI;
    return { at: points[at], angle };
  }
  return null;
}
