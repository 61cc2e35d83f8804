// @ts-check
// The plane of a network: the class that it finds most probable everywhere, stronger where it is surer, and the points.

import { colorOf } from "./curves.js";
import { MARKS } from "./scatter.js";
import { drawAxes, frameOf } from "../player/axes.js";
import { clipTo, drawMark, prepare } from "../player/canvas.js";
import { rgb } from "../player/contour.js";
import { makeScale } from "../player/scales.js";

const MARGINS = { left: 52, right: 8, top: 8, bottom: 36 };
const STRONG = 0.62; // of a class's color, where the network is sure of it
const SIZE = 3.2; // of a point, in pixels

/** @param {HTMLCanvasElement} canvas */
export function makePlane(canvas) {
  const map = makeMap();
  let still = null;
  let stillFor = "";
  /** @type {any} */
  let scales = null;

  /** Axes and points, which stay while a network trains. */
  function stillPicture(width, height, box, points, inputs, colors) {
    const ratio = window.devicePixelRatio || 1;
    const key = [width, height, ratio, colors.theme, points?.version, ...scales.window].join();
    if (key === stillFor) return still;
    stillFor = key;
    still = document.createElement("canvas");
    [still.width, still.height] = [width * ratio, height * ratio];
    const context = still.getContext("2d");
    context.scale(ratio, ratio);
    drawAxes(context, box, { x: scales.x, y: scales.y, xName: inputs[0], yName: inputs[1], colors, grid: false });
    clipTo(context, box);
    points?.labels.forEach((label, at) => {
      const [x, y] = [scales.x(points.places[2 * at]), scales.y(points.places[2 * at + 1])];
      drawMark(context, MARKS[label % MARKS.length], x, y, SIZE, colorOf(label), colors.background);
      if (points.held[at]) drawMark(context, "circle", x, y, 1.3, colors.background, colorOf(label)); // a hole: held out
    });
    return still;
  }
  return {
    /** From pixels of the canvas to the plane. */
    place: (x, y) => (scales ? [scales.x.invert(x), scales.y.invert(y)] : null),
    /**
     * @param {any} shown `window`, `inputs`, `points`, the `frame` of a network or null, and a `cursor` or null
     */
    draw({ window: sides, inputs, points, frame, cursor }, colors) {
      const { context, width, height } = prepare(canvas);
      if (!width || !height) return; // not laid out
      const box = frameOf(width, height, MARGINS);
      const [left, right, low, high] = sides;
      scales = { window: sides, x: makeScale("linear", [left, right], [box.left, box.right]), y: makeScale("linear", [low, high], [box.bottom, box.top]) };
      if (frame) context.drawImage(map.classes(frame, colors), box.left, box.top, box.right - box.left, box.bottom - box.top);
      context.drawImage(stillPicture(width, height, box, points, inputs, colors), 0, 0, width, height);
      if (cursor) drawCursor(context, scales.x(cursor.x), scales.y(cursor.y), cursor.label, colors);
    },
  };
}

/** A cross with the mark of the class that would be placed. */
function drawCursor(context, x, y, label, colors) {
  for (const [color, width] of [[colors.background, 5], [colors.ink, 2]]) {
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 8 * dx, y + 8 * dy);
      context.lineTo(x + 18 * dx, y + 18 * dy);
    }
    [context.strokeStyle, context.lineWidth] = [color, width];
    context.stroke();
  }
  drawMark(context, MARKS[label], x, y, 5, colorOf(label), colors.background);
}

/** A network's maps as small pictures, one pixel a place; the same canvas each time. */
export function makeMap() {
  const canvas = document.createElement("canvas");
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let image = new ImageData(1, 1);
  let tables = { theme: "", classes: /** @type {Uint32Array[]} */ ([]), signed: new Uint32Array(256) };

  function fit(width, height, colors) {
    if (image.width !== width || image.height !== height) {
      [canvas.width, canvas.height] = [width, height];
      image = new ImageData(width, height);
    }
    if (tables.theme !== colors.theme) tables = { theme: colors.theme, classes: [], signed: signedTable(colors.background) };
    return new Uint32Array(image.data.buffer);
  }
  return {
    /** The most probable class of each place. */
    classes({ header: { grid, classes }, arrays: { winner, sure }, at }, colors) {
      const pixels = fit(grid, grid, colors);
      const start = at * grid * grid;
      while (tables.classes.length < classes.length) tables.classes.push(classTable(tables.classes.length, classes.length, colors.background));
      for (let place = 0; place < pixels.length; place += 1) pixels[place] = tables.classes[winner[start + place]][sure[start + place]];
      context.putImageData(image, 0, 0);
      return canvas;
    },
    /** What each of the units gives, one map below the other; 128 is zero. */
    units({ header: { unit_grid: side }, arrays: { units, step }, at }, colors) {
      const length = units.length / step.length;
      const pixels = fit(side, length / side, colors);
      for (let place = 0; place < length; place += 1) pixels[place] = tables.signed[units[at * length + place]];
      context.putImageData(image, 0, 0);
      return canvas;
    },
  };
}

const packed = ([red, green, blue]) => (255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red);
const mixed = (from, to, share) => packed(from.map((band, at) => band + (to[at] - band) * share));

/** The color for each probability of a class: none where it is no more than by chance. */
function classTable(label, count, background) {
  const [from, to] = [rgb(background), rgb(colorOf(label))];
  const chance = 255 / count;
  return Uint32Array.from({ length: 256 }, (_, sure) => mixed(from, to, STRONG * (0.12 + 0.88 * Math.max(0, (sure - chance) / (255 - chance)))));
}

/** Blue below zero, orange above. */
function signedTable(background) {
  const zero = rgb(background);
  return Uint32Array.from({ length: 256 }, (_, value) => mixed(zero, rgb(colorOf(value < 128 ? 0 : 1)), Math.min(1, Math.abs(value - 128) / 127)));
}
