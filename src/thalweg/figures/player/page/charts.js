// @ts-check
// Loss, gradient norm and effective rates against steps: drawn once, with a cursor over them that can be dragged.

import { drawAxes, frameOf } from "./axes.js";
import { clipTo, drawMark, pageColors, prepare } from "./canvas.js";
import { makeScale, nearestIndex } from "./scales.js";
import { polyline, stroke } from "./lines.js";

/**
 * @param {HTMLElement} home
 * @param {Awaited<ReturnType<import("./scene.js").readScene>>} scene
 * @param {(index: number) => void} moveTo
 */
export function makeCharts(home, scene, moveTo) {
  const charts = scene.panels.map((panel) => {
    const chart = build(home, panel);
    chart.lines.addEventListener("pointerdown", (event) => drag(event, chart, scene, moveTo));
    return chart;
  });
  return {
    /** Take the scene's panels of now, where they are as many as before; whether they are. */
    renew() {
      const same = scene.panels.length === charts.length;
      if (same) charts.forEach((chart, number) => name(chart, scene.panels[number]));
      return same;
    },
    /** Everything that the cursor does not change. */
    drawLines: (hidden, colors) => charts.forEach((chart) => drawChart(chart, scene, hidden, colors)),
    drawCursor: (index, hidden, colors) => charts.forEach((chart) => drawCursor(chart, scene, index, hidden, colors)),
  };
}

function build(home, panel) {
  const figure = document.createElement("div");
  figure.className = "chart";
  const title = document.createElement("h2");
  const box = document.createElement("div");
  const [lines, cursor] = [document.createElement("canvas"), document.createElement("canvas")];
  lines.setAttribute("role", "img");
  cursor.setAttribute("aria-hidden", "true");
  cursor.style.pointerEvents = "none";
  box.append(lines, cursor);
  figure.append(title, box);
  home.append(figure);
  const chart = { panel, title, lines, cursor, x: null, y: null };
  name(chart, panel);
  return chart;
}

function name(chart, panel) {
  chart.panel = panel;
  chart.title.textContent = panel.title;
  chart.lines.setAttribute("aria-label", panel.summary);
}

function drawChart(chart, scene, hidden, colors) {
  const { context, width, height } = prepare(chart.lines);
  const frame = frameOf(width, height);
  chart.frame = frame;
  chart.x = makeScale(scene.stepAxis.kind, [0, scene.steps[scene.steps.length - 1] || 1], [frame.left, frame.right]);
  chart.y = makeScale(chart.panel.kind, chart.panel.range, [frame.bottom, frame.top]);
  drawAxes(context, frame, { x: chart.x, y: chart.y, xName: scene.stepAxis.name, yName: "", colors, grid: true });
  clipTo(context, { ...frame, bottom: frame.bottom + 1 });
  const shown = scene.series.filter((_, number) => !hidden.has(number));
  const lines = shown.map((series) => curveOf(chart, scene.steps, series));
  for (const line of lines) stroke(context, line, colors.background, 3.5, []);
  shown.forEach(({ color, dash }, number) => stroke(context, lines[number], color[colors.theme], 1.7, dash));
  if (chart.panel.marks) for (const series of shown) drawMarks(context, chart, scene.steps, series, colors);
  context.restore();
}

/** A second column of a panel, as marks on the lines of its first. */
function drawMarks(context, chart, steps, series, colors) {
  const values = series.columns[chart.panel.marks];
  values.forEach((value, index) => {
    drawMark(context, series.mark, chart.x(steps[index]), height(chart, value), 3, series.color[colors.theme], colors.background);
  });
}

/** A value below the range (a loss of zero has no logarithm) is drawn on the floor. */
function height(chart, value) {
  if (!Number.isFinite(value)) return Number.NaN;
  return chart.y(Math.min(chart.panel.range[1], Math.max(chart.panel.range[0], value)));
}

function curveOf(chart, steps, series) {
  const values = series.columns[chart.panel.column];
  return polyline(steps.length, (index) => [chart.x(steps[index]), height(chart, values[index])]);
}

function drawCursor(chart, scene, index, hidden, colors) {
  const { context } = prepare(chart.cursor);
  if (!chart.x) return;
  const at = chart.x(scene.steps[index]);
  context.beginPath();
  context.moveTo(at, chart.frame.top);
  context.lineTo(at, chart.frame.bottom);
  context.lineWidth = 1.2;
  context.strokeStyle = colors.ink;
  context.stroke();
  scene.series.forEach((series, number) => {
    const y = height(chart, series.columns[chart.panel.marks ?? chart.panel.column][index]);
    if (hidden.has(number) || Number.isNaN(y)) return;
    drawMark(context, series.mark, at, y, 4, series.color[colors.theme], colors.background);
  });
}

function drag(event, chart, scene, moveTo) {
  const follow = (moved) => {
    const left = chart.lines.getBoundingClientRect().left;
    moveTo(nearestIndex(scene.steps, chart.x.invert(moved.clientX - left)));
  };
  follow(event);
  chart.lines.setPointerCapture(event.pointerId);
  const stop = () => chart.lines.removeEventListener("pointermove", follow);
  chart.lines.addEventListener("pointermove", follow);
  chart.lines.addEventListener("pointerup", stop, { once: true });
  chart.lines.addEventListener("pointercancel", stop, { once: true });
}

/** A trace's line and mark in small, for its button. */
export function drawKey(canvas, series, markOnly = false) {
  const { context, width, height: tall } = prepare(canvas);
  const colors = pageColors();
  const color = series.color[colors.theme];
  if (!markOnly) {
    const line = new Path2D();
    line.moveTo(1, tall / 2);
    line.lineTo(width - 1, tall / 2);
    stroke(context, line, color, 2.2, series.dash);
  }
  drawMark(context, series.mark, width / 2, tall / 2, 4.5, color, colors.background);
}
