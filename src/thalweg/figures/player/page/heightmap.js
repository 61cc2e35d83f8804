// @ts-check
// The surface as a heightmap in space: shaded quads, drawn from far to near.

import { farToNear, projector } from "./camera.js";
import { drawCritical, haloText, useFont } from "./canvas.js";
import { rgb } from "./contour.js";
import { makeScale, tickText } from "./scales.js";

const MOST_QUADS = 48; // a side: drawn in a few milliseconds without a graphics card
const WIDE = 6; // quads between two lines of the net

const EDGES = [[-1, -1], [1, -1], [1, 1], [-1, 1]]; // of the floor

/** @param {import("./contour.js").Surface} surface */
export function heightmapView(surface) {
  const quads = Math.min(MOST_QUADS, surface.side - 1);
  const mesh = coarse(surface.heights, surface.side, quads + 1);
  const [x, y] = surface.window.map((range) => makeScale("linear", range, [-1, 1]));
  return {
    draw(context, width, height, camera, colors) {
      const project = projector(camera, width, height);
      drawFloor(context, project, colors);
      drawQuads(context, mesh, quads, project, camera, colors);
      drawScales(context, surface, { x, y }, project, camera, colors);
      for (const { kind, x: px, y: py, height: pz } of surface.critical) {
        drawCritical(context, kind, ...project(x(px), y(py), pz), colors.ink, colors.background, surface.criticalSize);
      }
      const frame = { left: 4, right: width - 4, top: 4, bottom: height - 4 };
      return { frame, point: (px, py, pz) => project(x(px), y(py), pz) };
    },
  };
}

/** Every so-manieth height, by the nearest grid point. */
function coarse(heights, side, count) {
  const pick = (index) => Math.round((index * (side - 1)) / (count - 1));
  return Float32Array.from({ length: count * count }, (_, cell) => {
    return heights[pick(Math.floor(cell / count)) * side + pick(cell % count)] / 65535;
  });
}

function drawFloor(context, project, colors) {
  trace(context, EDGES.map(([x, y]) => project(x, y, 0)));
  context.closePath();
  context.setLineDash([]);
  paint(context, colors.line, 1);
}

function drawQuads(context, mesh, quads, project, camera, colors) {
  const count = quads + 1;
  const corners = Array.from({ length: count * count }, (_, cell) => {
    const [row, column] = [Math.floor(cell / count), cell % count];
    return project((2 * column) / quads - 1, (2 * row) / quads - 1, mesh[cell]);
  });
  const shade = shader(colors);
  const { rows, columns } = farToNear(camera, quads);
  for (const row of rows) {
    for (const column of columns) {
      const cell = row * count + column;
      const ring = [cell, cell + 1, cell + count + 1, cell + count];
      const slope = mesh[cell + 1] - mesh[cell] + 0.6 * (mesh[cell + count] - mesh[cell]);
      trace(context, ring.map((corner) => corners[corner]));
      context.closePath();
      context.fillStyle = shade((mesh[cell] + mesh[cell + count + 1]) / 2, slope);
      context.fill();
      paint(context, context.fillStyle, 1); // over the seam between two quads
      if (row % WIDE === 0) edge(context, corners[cell], corners[cell + 1], colors);
      if (column % WIDE === 0) edge(context, corners[cell], corners[cell + count], colors);
    }
  }
}

function trace(context, points) {
  context.beginPath();
  for (const point of points) context.lineTo(...point);
}

function paint(context, color, width) {
  context.lineWidth = width;
  context.strokeStyle = color;
  context.stroke();
}

function edge(context, from, to, colors) {
  trace(context, [from, to]);
  paint(context, colors.contour, 0.5);
}

/** The color of a quad: by its height, darker where it turns away from the light. */
function shader(colors) {
  const [low, high] = [rgb(colors.low), rgb(colors.high)];
  return (height, slope) => {
    const light = Math.max(0.7, Math.min(0.97, 0.9 + 4 * slope));
    const bands = low.map((band, index) => Math.round(Math.min(255, (band + (high[index] - band) * height) * light)));
    return `rgb(${bands})`;
  };
}

/** Ticks along the two near edges of the floor and along the upright edge at the left. */
function drawScales(context, surface, { x, y }, project, camera, colors) {
  useFont(context);
  context.fillStyle = colors.muted;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const nearY = Math.cos(camera.azimuth) > 0 ? -1 : 1;
  const nearX = Math.sin(camera.azimuth) > 0 ? -1 : 1;
  const spread = makeSpread(context, colors);
  for (const [axis, scale] of [[0, x], [1, y]]) {
    const along = axis === 0 ? (at, out) => project(at, nearY * out, 0) : (at, out) => project(nearX * out, at, 0);
    for (const value of scale.ticks(4)) spread(tickText(value), along(scale(value), 1), along(scale(value), 1.1));
    spread(surface.axes[axis], null, along(0, 1.3));
  }
  drawUpright(context, surface, project, colors);
}

function makeSpread(context, colors) {
  return (text, from, to) => {
    if (from) {
      trace(context, [from, [from[0] + (to[0] - from[0]) * 0.4, from[1] + (to[1] - from[1]) * 0.4]]);
      paint(context, colors.line, 1);
    }
    haloText(context, text, to[0], to[1], colors.muted, colors.background);
  };
}

function drawUpright(context, surface, project, colors) {
  const [x, y] = EDGES.reduce((best, edge) => (project(...edge, 0)[0] < project(...best, 0)[0] ? edge : best));
  trace(context, [project(x, y, 0), project(x, y, 1)]);
  paint(context, colors.line, 1);
  context.textAlign = "right";
  for (const { height, text } of surface.heightTicks) {
    const [px, py] = project(x, y, height);
    haloText(context, `${text} –`, px - 2, py, colors.muted, colors.background);
  }
  const [px, py] = project(x, y, 1);
  context.textAlign = "left";
  haloText(context, surface.heightName, Math.max(6, px - 40), py - 18, colors.muted, colors.background);
}
