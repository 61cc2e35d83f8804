// @ts-check
// One map of photos: points by class, a ring around wrong predictions, and one photo in front.

import { make, region } from "./dom.js";
import { colorOf } from "./curves.js";
import { t } from "./texts.js";
import { drawMark, pageColors, prepare } from "../player/canvas.js";
import { makeScale } from "../player/scales.js";

const MARGIN = 14; // pixels
const NEAR = 24; // pixels from the pointer within which a photo is chosen
const SIZE = 3.4; // pixels
const OTHERS = "#a0a0a0";
/** The marks of the classes, told apart by shape. */
export const MARKS = ["circle", "square", "triangle", "diamond", "down", "plus", "cross"];
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {HTMLElement} home
 * @param {{title: string, keys: string, look: (place: number) => void}} given
 */
export function makeScatter(home, { title, keys, look }) {
  const canvas = make("canvas", { role: "img", "aria-label": title });
  const frame = region("frame", `${title}. ${keys}`, canvas);
  const note = make("figcaption", { class: "note" });
  home.append(make("figure", { class: "map" }, make("h3", {}, title), frame, note));
  let points = null;
  let places = [];
  let ringed = 0;
  let kept = null;

  function paint() {
    if (!points || !canvas.clientWidth) return;
    const { context, width, height } = prepare(canvas);
    const colors = pageColors();
    places = placesOf(points.positions, width, height);
    const number = new Map(points.named.map((label, place) => [label, place])); // of many classes, some have a color
    places.forEach(([x, y], at) => {
      const label = points.labels[at];
      const mark = number.get(label);
      if (mark === undefined) drawMark(context, "circle", x, y, SIZE / 2, OTHERS, colors.background);
      else drawMark(context, MARKS[mark % MARKS.length], x, y, SIZE, colorOf(mark), colors.background);
      if (points.predicted[at] !== label) circle(context, x, y, 6.5, colors.ink, 1);
    });
    kept = document.createElement("canvas");
    [kept.width, kept.height] = [canvas.width, canvas.height];
    kept.getContext("2d")?.drawImage(canvas, 0, 0);
  }
  function draw() {
    if (!kept || !canvas.clientWidth || !places[ringed]) return;
    const { context, width, height } = prepare(canvas);
    context.drawImage(kept, 0, 0, width, height);
    const [x, y] = places[ringed];
    circle(context, x, y, 10, pageColors().background, 6);
    circle(context, x, y, 10, pageColors().accent ?? pageColors().ink, 3);
  }
  for (const kind of ["pointermove", "pointerdown"]) {
    frame.addEventListener(kind, (event) => {
      const box = canvas.getBoundingClientRect();
      const found = nearest(places, event.clientX - box.left, event.clientY - box.top, NEAR);
      if (found !== null && found !== ringed) look(found);
    });
  }
  frame.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow && !["Home", "End"].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    const next = arrow ? towards(places, ringed, arrow) : event.key === "Home" ? 0 : places.length - 1;
    look(next);
  });
  new ResizeObserver(() => {
    paint();
    draw();
  }).observe(frame);
  return {
    show(next) {
      points = next;
      paint();
      draw();
    },
    ring(place) {
      ringed = place;
      draw();
    },
    note: (text) => (note.textContent = text),
  };
}

/** The classes with their colors and marks. */
export function swatchesOf(classes) {
  const list = make("ul", { class: "swatches", "aria-label": t("embeddings_classes") });
  classes.forEach((name, number) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    list.append(make("li", {}, canvas, name));
    requestAnimationFrame(() => drawMark(prepare(canvas).context, MARKS[number % MARKS.length], 8, 8, 5, colorOf(number), pageColors().background));
  });
  return list;
}

/** Both axes at one scale, all points inside. */
function placesOf(positions, width, height) {
  const xs = positions.filter((_, at) => at % 2 === 0);
  const ys = positions.filter((_, at) => at % 2 === 1);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const half = Math.max((right - left) / (width - 2 * MARGIN), (high - low) / (height - 2 * MARGIN)) / 2;
  const span = (middle, pixels) => [middle - half * pixels, middle + half * pixels];
  const x = makeScale("linear", span((left + right) / 2, width), [0, width]);
  const y = makeScale("linear", span((low + high) / 2, height), [height, 0]);
  return Array.from(xs, (value, at) => [x(value), y(ys[at])]);
}

function circle(context, x, y, radius, color, width) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.lineWidth = width;
  context.strokeStyle = color;
  context.stroke();
}

function nearest(places, x, y, within) {
  let best = null;
  let least = within;
  places.forEach(([px, py], at) => {
    const far = Math.hypot(px - x, py - y);
    if (far < least) [best, least] = [at, far];
  });
  return best;
}

/** The nearest photo that lies in the direction of an arrow. */
function towards(places, from, [dx, dy]) {
  const [x, y] = places[from];
  let [best, least] = [from, Infinity];
  places.forEach(([px, py], at) => {
    const [along, across] = [(px - x) * dx + (py - y) * dy, Math.abs((px - x) * dy) + Math.abs((py - y) * dx)];
    const far = along + 2 * across;
    if (at !== from && along > 0 && across <= along && far < least) [best, least] = [at, far];
  });
  return best;
}
