// @ts-check
// A network from its inputs down to its output: each unit's map, a row a layer, with the weights as lines between.

import { colorOf } from "./curves.js";
import { makeMap } from "./networkplane.js";
import { MARKS } from "./scatter.js";
import { t } from "./texts.js";
import { drawMark, haloText, prepare } from "../player/canvas.js";
import { stroke } from "../player/lines.js";

const LABEL = 64; // pixels, for the layers' names
const ROW = 74; // pixels from layer to layer
const WIDTHS = [0.5, 1.2, 2.2, 3.6]; // of lines, by the size of their weight beside the layer's largest
const FAINT = 0.04; // of the largest: a weight below it has no line
const LINES = 400; // of a layer
const [DEAD, SATURATED] = [1, 2];

/** @param {HTMLCanvasElement} canvas */
export function makeUnits(canvas) {
  const map = makeMap();
  return {
    height: (layers) => ROW * (layers.length + 1),
    draw(frame, colors) {
      const { context, width, height } = prepare(canvas);
      const { header, arrays, at } = frame;
      const rows = [header.inputs.length, ...header.layers.map(({ units }) => units)];
      const places = rows.map((units, row) => placesOf(units, width, ((row + 0.5) * height) / rows.length, height / rows.length));
      let start = at * (arrays.weights.length / arrays.step.length);
      rows.slice(1).forEach((outputs, row) => {
        drawWeights(context, arrays.weights.subarray(start, start + outputs * rows[row]), places[row], places[row + 1], colors);
        start += outputs * rows[row];
      });
      drawNames(context, header, places, colors);
      header.inputs.forEach((name, at) => drawNode(context, name, places[0].spots[at], colors));
      let unit = at * (arrays.unit_state.length / arrays.step.length);
      header.layers.slice(0, -1).forEach(({ units }, row) => {
        for (let place = 0; place < units; place += 1, unit += 1) {
          const picture = map.unit(frame, unit * header.unit_grid ** 2, colors);
          drawUnit(context, picture, places[row + 1].spots[place], places[row + 1].side, arrays.unit_state[unit], colors);
        }
      });
      const output = places[places.length - 1];
      const first = output.spots.length > 1 ? 0 : 1; // one output is the second class's
      output.spots.forEach(([x, y], at) => drawMark(context, MARKS[(first + at) % MARKS.length], x, y, Math.min(9, output.side / 3), colorOf(first + at), colors.background));
    },
  };
}

function placesOf(units, width, y, row) {
  const apart = (width - LABEL) / units;
  const side = Math.max(4, Math.min(row * 0.66, apart * 0.84));
  return { side, spots: Array.from({ length: units }, (_, at) => [LABEL + (at + 0.5) * apart, y]) };
}

/** Thick lines for large weights, dashed ones below zero; the largest only, where there are very many. */
function drawWeights(context, weights, from, to, colors) {
  let largest = 0;
  for (const weight of weights) if (Math.abs(weight) > largest) largest = Math.abs(weight);
  if (!largest || !Number.isFinite(largest)) return;
  const least = weights.length > LINES ? Math.max(FAINT, Math.abs([...weights].sort((one, other) => Math.abs(other) - Math.abs(one))[LINES] / largest)) : FAINT;
  const lines = [0, 1].map(() => WIDTHS.map(() => new Path2D()));
  weights.forEach((weight, place) => {
    const size = Math.abs(weight) / largest;
    if (!(size >= least)) return;
    const [[x0, y0], [x1, y1]] = [from.spots[place % from.spots.length], to.spots[Math.floor(place / from.spots.length)]];
    const line = lines[weight < 0 ? 0 : 1][Math.min(WIDTHS.length - 1, Math.floor(size * WIDTHS.length))];
    const [top, bottom] = [y0 + from.side / 2, y1 - to.side / 2];
    line.moveTo(x0, top);
    line.bezierCurveTo(x0, (top + bottom) / 2, x1, (top + bottom) / 2, x1, bottom);
  });
  context.globalAlpha = 0.75;
  lines.forEach((sign, number) => sign.forEach((line, width) => stroke(context, line, colorOf(number), WIDTHS[width], number ? [] : [5, 3])));
  context.globalAlpha = 1;
}

function drawNames(context, { layers }, places, colors) {
  context.fillStyle = colors.muted;
  context.textAlign = "left";
  context.textBaseline = "middle";
  [t("network_input"), ...layers.map(({ label }) => label)].forEach((name, row) => context.fillText(name, 0, places[row].spots[0][1], LABEL - 6));
}

function drawNode(context, name, [x, y], colors) {
  context.textAlign = "center";
  context.textBaseline = "middle";
  haloText(context, name, x, y, colors.ink, colors.background);
}

/** A map in its frame: crossed out where the unit is dead, barred above and below where it is saturated. */
function drawUnit(context, picture, [x, y], side, state, colors) {
  const [left, top] = [x - side / 2, y - side / 2];
  context.drawImage(picture, left, top, side, side);
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
