// @ts-check
// The maps of rate × momentum and of Adam's rate × β₂: a click on a cell, or Enter, plays its path in the lab.

import { getFrame } from "./api.js";
import { readFields } from "./address.js";
import { button, byId, make, region, whileShown } from "./dom.js";
import { heatColor } from "./heat.js";
import { short, t } from "./texts.js";
import { drawAxes, frameOf } from "../player/axes.js";
import { clipTo, drawMark, pageColors, prepare } from "../player/canvas.js";
import { polyline, stroke } from "../player/lines.js";
import { makeScale, nearestIndex } from "../player/scales.js";

const HATCHED = 255;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const DASHES = [[], [6, 4], [8, 3, 2, 3]]; // of the borders
const KINDS = { momentum: ["linear", "linear"], adam: ["log", "log"] };

/** @param {HTMLElement} home @param {any} page */
export async function mountView(home, page) {
  const { header, arrays } = await getFrame("lesson/view", { name: "momentum-map" });
  const play = (optimizers) => {
    const { theme, lesson } = readFields();
    page.goTo({ tab: "lab", ...header.fields, optimizers, ...(lesson && { lesson }), ...(theme && { theme }) });
    byId("picture").scrollIntoView({ block: "nearest" });
  };
  const maps = header.maps.map((map) => makeMap(map, arrays, play));
  home.replaceChildren(
    make("p", { class: "note" }, t("map_how")),
    make("div", { class: "view-maps" }, ...maps.map(({ element }) => element)),
    keyOfShades(header.digit),
  );
  const draw = () => maps.forEach((map) => map.draw());
  if (!home.isConnected) return; // another lesson was chosen meanwhile
  draw();
  whileShown(page, home, draw);
}

function makeMap(map, arrays, play) {
  const array = (name) => arrays[`${map.name}.${name}`];
  const isAdam = map.name === "adam";
  const [x, y] = [array("x"), array("y")];
  const heightOf = (memory) => (isAdam ? 1 - memory : memory); // β₂ is drawn by its distance from 1
  const levels = Array.from(y, heightOf);
  const chosen = { column: nearestIn(x, map.best.x), row: nearestIn(y, map.best.y) };
  let places = null;

  const canvas = make("canvas", { role: "img", "aria-label": map.title });
  const frame = region("frame map", t("map_keys", { title: map.title }), canvas);
  const reading = make("p", { class: "note reading", role: "status" });
  const playChosen = () => play(pathOf(chosen));
  const element = make("figure", { data: { map: map.name } }, make("figcaption", {}, map.title), frame, bordersOf(map),
    make("div", { class: "buttons small" }, button(t("map_play"), playChosen, { class: "primary" })), reading);

  /** The optimizers of the lab's address for a cell: its own, and beside it the best. */
  function pathOf({ column, row }) {
    const own = `${map.name}(${map.setting}=${Number(y[row].toPrecision(4))}):${Number(x[column].toPrecision(4))}:`;
    return own === map.beside ? own : `${own};${map.beside}`;
  }
  function tell({ column, row }) {
    const at = row * x.length + column;
    const values = { rate: short(x[column]), memory: short(y[row]) };
    if (isAdam) {
      const steps = array("arrival")[at];
      return Number.isFinite(steps) ? t("map_adam", { ...values, steps }) : t("map_adam_never", values);
    }
    const [flat, steep] = ["flat", "steep"].map((name) => t(`map_damping_${array(name)[at]}`));
    return t("map_momentum", { ...values, factor: short(array("factor")[at]), simulated: short(array("simulated")[at]), flat, steep });
  }
  function cellAt(event) {
    const box = canvas.getBoundingClientRect();
    const [column, row] = places.cell(event.clientX - box.left, event.clientY - box.top);
    return { column: clamp(column, x.length), row: clamp(row, y.length) };
  }
  function choose(cell) {
    Object.assign(chosen, cell);
    draw();
  }
  function draw() {
    const { context, width, height } = prepare(canvas);
    const colors = pageColors();
    const box = frameOf(width, height, { left: 58 });
    places = placesOf(box, x, levels, KINDS[map.name]);
    clipTo(context, box);
    array("shade").forEach((shade, at) => drawCell(context, places, at % x.length, Math.floor(at / x.length), shade, colors));
    map.borders.forEach(({ name, color }, number) => {
      element.querySelectorAll(".swatch")[number].style.background = color[colors.theme];
      const [rates, memories] = [arrays[`border.${name}`], arrays.border];
      const line = polyline(memories.length, (at) => places.point(rates[at], memories[at]));
      stroke(context, line, colors.background, 4.5, []);
      stroke(context, line, color[colors.theme], 2, DASHES[number]);
    });
    drawMark(context, "star", ...places.point(map.best.x, heightOf(map.best.y)), 6, colors.ink, colors.background);
    drawCross(context, places, chosen, colors);
    context.restore();
    drawAxes(context, box, { x: places.x, y: places.y, xName: map.axes[0], yName: map.axes[1], colors, grid: false });
    reading.textContent = tell(chosen);
    element.dataset.cell = `${chosen.column},${chosen.row}`;
  }
  frame.addEventListener("click", (event) => {
    choose(cellAt(event));
    playChosen();
  });
  frame.addEventListener("pointermove", (event) => places && (reading.textContent = tell(cellAt(event))));
  frame.addEventListener("pointerleave", () => (reading.textContent = tell(chosen)));
  frame.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const by = event.shiftKey ? 5 : 1;
    if (event.key in ARROWS) {
      const [dx, dy] = ARROWS[event.key];
      choose({ column: clamp(chosen.column + by * dx, x.length), row: clamp(chosen.row + by * dy, y.length) });
    } else if (event.key === "Enter" || event.key === " ") playChosen();
    else return;
    event.preventDefault();
    event.stopPropagation(); // the lab's player has these keys elsewhere
  });
  return { element, draw };
}

const clamp = (at, count) => Math.min(count - 1, Math.max(0, at));

/** The index of the value nearest to `wanted`; values rise. */
const nearestIn = (values, wanted) => nearestIndex(values, wanted);

/** Where cells lie: evenly, on the scales of both axes. */
function placesOf({ left, right, top, bottom }, x, levels, [kindX, kindY]) {
  const [columns, rows] = [x.length, levels.length];
  const [wide, tall] = [(right - left) / columns, (bottom - top) / rows];
  const scaleX = makeScale(kindX, [x[0], x[columns - 1]], [left + wide / 2, right - wide / 2]);
  const scaleY = makeScale(kindY, [levels[0], levels[rows - 1]], [bottom - tall / 2, top + tall / 2]);
  if (levels[0] > levels[rows - 1]) scaleY.ticks = (count) => makeScale(kindY, [levels[rows - 1], levels[0]], [0, 1]).ticks(count);
  return {
    x: scaleX,
    y: scaleY,
    point: (px, py) => [scaleX(px), scaleY(py)],
    corner: (column, row) => [left + column * wide, bottom - (row + 1) * tall, wide, tall],
    cell: (px, py) => [Math.floor((px - left) / wide), Math.floor((bottom - py) / tall)],
  };
}

function drawCell(context, places, column, row, shade, colors) {
  const [x, y, wide, tall] = places.corner(column, row);
  if (shade !== HATCHED) {
    context.fillStyle = heatColor(1 - shade / HATCHED).background;
    context.fillRect(x - 0.4, y - 0.4, wide + 0.8, tall + 0.8);
    return;
  }
  context.beginPath();
  context.moveTo(x, y + tall);
  context.lineTo(x + wide, y);
  context.setLineDash([]);
  context.lineWidth = 1;
  context.strokeStyle = colors.line;
  context.stroke();
}

function drawCross(context, places, { column, row }, colors) {
  const [x, y, wide, tall] = places.corner(column, row);
  for (const [width, color] of [[5, colors.background], [2, colors.ink]]) {
    context.lineWidth = width;
    context.strokeStyle = color;
    context.setLineDash([]);
    context.strokeRect(x - 2, y - 2, wide + 4, tall + 4);
  }
}

function bordersOf(map) {
  const items = map.borders.map(({ label }) => make("li", {}, make("span", { class: "swatch" }), label));
  return make("ul", { class: "legend" }, ...items, make("li", {}, t("map_best")));
}

/** From few steps to many, as the cells are colored. */
function keyOfShades(name) {
  const strip = make("canvas", { class: "strip", role: "img", "aria-label": t("map_shades"), width: 64, height: 1 });
  const context = strip.getContext("2d");
  for (let at = 0; at < 64; at += 1) {
    context.fillStyle = heatColor(1 - at / 64).background;
    context.fillRect(at, 0, 1, 1);
  }
  return make("p", { class: "ratio-key" }, t("map_few"), strip, t("map_many", { name }));
}
