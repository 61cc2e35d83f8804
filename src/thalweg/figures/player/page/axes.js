// @ts-check
// The frame of a chart: where it lies, its ticks, its grid.

import { useFont } from "./canvas.js";
import { tickText } from "./scales.js";

/** @typedef {{left: number, right: number, top: number, bottom: number}} Frame in CSS pixels */

/** @returns {Frame} */
export function frameOf(width, height, { left = 52, right = 10, top = 8, bottom = 36 } = {}) {
  return { left, right: Math.max(left + 10, width - right), top, bottom: Math.max(top + 10, height - bottom) };
}

/** Ticks and names of both axes; `grid` also rules the inside. */
export function drawAxes(context, frame, { x, y, xName, yName, colors, grid }) {
  useFont(context);
  context.setLineDash([]);
  context.lineWidth = 1;
  context.fillStyle = colors.muted;
  drawTicksX(context, frame, x, colors, grid);
  drawTicksY(context, frame, y, colors, grid);
  context.strokeStyle = colors.line;
  context.strokeRect(frame.left + 0.5, frame.top + 0.5, frame.right - frame.left, frame.bottom - frame.top);
  context.textAlign = "center";
  context.textBaseline = "bottom";
  context.fillText(xName, (frame.left + frame.right) / 2, frame.bottom + 35);
  if (yName) {
    context.save();
    context.translate(11, (frame.top + frame.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.textBaseline = "middle";
    context.fillText(yName, 0, 0);
    context.restore();
  }
}

function drawTicksX(context, frame, scale, colors, grid) {
  context.textAlign = "center";
  context.textBaseline = "top";
  let free = -Infinity;
  for (const value of scale.ticks(Math.max(2, (frame.right - frame.left) / 70))) {
    const at = scale(value);
    const half = context.measureText(tickText(value)).width / 2;
    rule(context, [at, frame.bottom], [at, grid ? frame.top : frame.bottom + 4], grid ? colors.faint : colors.line);
    const middle = Math.min(at, frame.right + 9 - half); // the last one stays on the canvas
    if (middle - half < free) continue;
    context.fillText(tickText(value), middle, frame.bottom + 6);
    free = middle + half + 6;
  }
}

function drawTicksY(context, frame, scale, colors, grid) {
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of scale.ticks(Math.max(2, (frame.bottom - frame.top) / 32))) {
    const at = scale(value);
    rule(context, [frame.left, at], [grid ? frame.right : frame.left - 4, at], grid ? colors.faint : colors.line);
    context.fillText(tickText(value), frame.left - 7, at);
  }
}

function rule(context, [x0, y0], [x1, y1], color) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.strokeStyle = color;
  context.stroke();
}
