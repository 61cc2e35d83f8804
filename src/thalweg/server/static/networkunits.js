// @ts-check
// A network from its inputs down to its output: each unit's map, a row a layer, with the weights as lines between.

import { colorOf } from "./curves.js";
import { makeMap } from "./networkplane.js";
import { MARKS } from "./scatter.js";
import { t } from "./texts.js";
import { drawMark, haloText, prepare, useFont } from "../player/canvas.js";
import { stroke } from "../player/lines.js";

const LABEL = 64; // pixels, for the layers' names
const ROW = 74; // pixels from layer to layer
const WIDTHS = [0.5, 1.2, 2.2, 3.6]; // of lines, by the size of their weight beside the layer's largest
const FAINT = 0.04; // of the largest: a weight below it has no line
const LINES = 64; // of a layer
const REST = 150; // milliseconds between two drawings of the weights while a network trains
const [DEAD, SATURATED] = [1, 2];

/** @param {HTMLCanvasElement} canvas */
export function makeUnits(canvas) {
  const map = makeMap();
  const lines = document.createElement("canvas"); // the weights, which are drawn less often: thousands of lines take their time
  let drawnAt = 0;
  let linesFor = "";

  function weightsPicture(frame, places, width, height, colors, wholly) {
    const { arrays, at } = frame;
    const ratio = window.devicePixelRatio || 1;
    const key = [width, height, ratio, colors.theme, places.length].join();
    if (!wholly && key === linesFor && performance.now() - drawnAt < REST) return;
    linesFor = key;
    [lines.width, lines.height] = [width * ratio, height * ratio];
    const context = /** @type {CanvasRenderingContext2D} */ (lines.getContext("2d"));
    context.scale(ratio, ratio);
    let start = at * (arrays.weights.length / arrays.step.length);
    places.slice(1).forEach((to, row) => {
      const count = to.spots.length * places[row].spots.length;
      drawWeights(context, arrays.weights.subarray(start, start + count), places[row], to);
      start += count;
    });
    drawNames(context, frame.header, places, colors);
    drawnAt = performance.now();
  }
  return {
    height: (layers) => ROW * (layers.length + 1),
    draw(frame, colors, wholly) {
      const { context, width, height } = prepare(canvas);
      if (!width || !height) return; // not laid out
      const { header, arrays, at } = frame;
      const rows = [header.inputs.length, ...header.layers.map(({ units }) => units)];
      const places = rows.map((units, row) => placesOf(units, width, ((row + 0.5) * height) / rows.length, height / rows.length));
      weightsPicture(frame, places, width, height, colors, wholly);
      context.drawImage(lines, 0, 0, width, height);
      const states = arrays.unit_state.length / arrays.step.length;
      const picture = states ? map.units(frame, colors) : null;
      let unit = 0;
      for (const { side, spots } of places.slice(1, -1)) {
        for (const spot of spots) drawUnit(context, picture, unit * header.unit_grid, header.unit_grid, spot, side, arrays.unit_state[at * states + unit++], colors);
      }
    },
  };
}

function placesOf(units, width, y, row) {
  const apart = (width - LABEL) / units;
  const side = Math.max(4, Math.min(row * 0.66, apart * 0.84));
  return { side, spots: Array.from({ length: units }, (_, at) => [LABEL + (at + 0.5) * apart, y]) };
}

/** Thick lines for large weights, dashed ones below zero; the largest only, where there are very many. */
function drawWeights(context, weights, from, to) {
  const sizes = weights.map(Math.abs).sort();
  const largest = sizes[sizes.length - 1];
  if (!largest || !Number.isFinite(largest)) return;
  const least = Math.max(FAINT, (sizes[sizes.length - LINES] ?? 0) / largest);
  const thin = weights.length > LINES ? 0.6 : 1;
  const lines = [0, 1].map(() => WIDTHS.map(() => new Path2D()));
  weights.forEach((weight, place) => {
    const size = Math.abs(weight) / largest;
    if (!(size >= least)) return;
    const [[x0, y0], [x1, y1]] = [from.spots[place % from.spots.length], to.spots[Math.floor(place / from.spots.length)]];
    const line = lines[weight < 0 ? 0 : 1][Math.min(WIDTHS.length - 1, Math.floor(size * WIDTHS.length))];
    const [top, bottom] = [y0 + from.side / 2, y1 - to.side / 2];
    line.moveTo(x0, top);
    line.lineTo(x1, bottom);
  });
  context.globalAlpha = 0.75;
  lines.forEach((sign, number) => sign.forEach((line, width) => stroke(context, line, colorOf(number), thin * WIDTHS[width], number ? [] : [5, 3])));
  context.globalAlpha = 1;
}

/** The layers' names, the inputs, and the outputs with the marks of their classes. */
function drawNames(context, { inputs, layers }, places, colors) {
  context.textBaseline = "middle";
  useFont(context);
  context.fillStyle = colors.muted;
  [t("network_input"), ...layers.map(({ label }) => label)].forEach((name, row) => context.fillText(name, 0, places[row].spots[0][1], LABEL - 6));
  context.textAlign = "center";
  inputs.forEach((name, at) => haloText(context, name, ...places[0].spots[at], colors.ink, colors.background));
  const { side, spots } = places[places.length - 1];
  const first = spots.length > 1 ? 0 : 1; // one output is the second class's
  spots.forEach(([x, y], at) => drawMark(context, MARKS[(first + at) % MARKS.length], x, y, Math.min(9, side / 3), colorOf(first + at), colors.background));
}

/** A map in its frame: crossed out where the unit is dead, barred above and below where it is saturated. */
function drawUnit(context, picture, from, size, [x, y], side, state, colors) {
  const [left, top] = [x - side / 2, y - side / 2];
  context.drawImage(picture, 0, from, size, size, left, top, side, side);
  context.strokeStyle = state ? colors.ink : colors.line;
  context.lineWidth = 1;
  context.strokeRect(left, top, side, side);
  if (!state) return;
  const line = new Path2D();
  const corners = state === DEAD ? [[0, 0, 1, 1], [0, 1, 1, 0]] : state === SATURATED ? [[0, 0, 1, 0], [0, 1, 1, 1]] : [];
  for (const [x0, y0, x1, y1] of corners) {
    line.moveTo(left + x0 * side, top + y0 * side);
    line.lineTo(left + x1 * side, top + y1 * side);
  }
  stroke(context, line, colors.background, 6, []);
  stroke(context, line, colors.ink, state === DEAD ? 2 : 4, []);
}
