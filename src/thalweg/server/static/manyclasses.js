// @ts-check
// The confusion of more classes than a table can show: a matrix to zoom, a search for a class, the most confused pairs.

import { pictureAddress } from "./api.js";
import { button, facts, make, note, region, table, whileShown } from "./dom.js";
import { percent, t, whole } from "./texts.js";
import { pageColors, prepare } from "../player/canvas.js";

const FOUND = 12; // classes that a search lists
const STEP = 1.6; // of the zoom
const LISTED = 8; // classes that one is confused with

export function manyClasses(page, run, found) {
  const { classes, scores, order, cells, pairs } = found;
  const count = classes.length;
  const place = new Int32Array(count); // where a class stands in the matrix
  order.forEach((label, at) => (place[label] = at));
  const totals = scores.map((one) => one.photos || 1);
  let view = { left: 0, top: 0, width: count };
  let chosen = null;

  const canvas = make("canvas", { role: "img", "aria-label": t("scores_title") });
  const frame = region("frame matrix", `${t("scores_title")}. ${t("many_keys")}`, canvas);
  const under = note(t("many_order", { count: whole(count) }));
  const card = make("div", { "aria-live": "polite" });
  const matches = make("div", { class: "buttons" });
  const search = make("input", { type: "search", id: "scores-search", on: { input: look } });

  function draw() {
    if (!canvas.clientWidth) return;
    const { context, width } = prepare(canvas);
    const colors = pageColors();
    const cell = width / view.width;
    const side = Math.max(cell, 1.5);
    const [x, y] = [(at) => (at - view.left) * cell, (at) => (at - view.top) * cell];
    context.fillStyle = colors.accent ?? colors.ink;
    cells.forEach(([label, predicted, photos]) => {
      const [right, down] = [x(place[predicted]), y(place[label])];
      if (right < -cell || down < -cell || right > width || down > width) return;
      context.globalAlpha = 0.2 + 0.8 * Math.sqrt(photos / totals[label]);
      context.fillRect(right, down, side, side);
    });
    context.globalAlpha = 1;
    if (chosen === null) return;
    context.strokeStyle = colors.ink;
    context.strokeRect(0, y(place[chosen]), width, side);
    context.strokeRect(x(place[chosen]), 0, side, width);
  }
  /** Zoom about a point of the canvas, its corners kept inside the matrix. */
  function zoom(factor, across = 0.5, down = 0.5) {
    const width = Math.min(count, Math.max(4, view.width / factor));
    move(view.left + across * (view.width - width), view.top + down * (view.width - width), width);
  }
  function move(left, top, width) {
    const inside = (value) => Math.max(0, Math.min(count - width, value));
    view = { left: inside(left), top: inside(top), width };
    draw();
  }
  function at(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.width];
  }
  let held = null;
  frame.addEventListener("pointerdown", (event) => (held = { from: at(event), view, moved: false }));
  frame.addEventListener("pointermove", (event) => {
    const [across, down] = at(event);
    if (held && event.buttons) {
      const [dx, dy] = [across - held.from[0], down - held.from[1]];
      held.moved ||= Math.hypot(dx, dy) > 0.01;
      return move(held.view.left - dx * view.width, held.view.top - dy * view.width, view.width);
    }
    const [label, predicted] = [order[Math.floor(view.top + down * view.width)], order[Math.floor(view.left + across * view.width)]];
    if (label === undefined || predicted === undefined) return;
    under.textContent = `${classes[label]} → ${classes[predicted]}: ${photosOf(label, predicted)}`;
  });
  frame.addEventListener("pointerup", (event) => {
    if (held && !held.moved) choose(order[Math.floor(view.top + at(event)[1] * view.width)] ?? chosen);
    held = null;
  });
  frame.addEventListener("wheel", (event) => {
    if (!event.ctrlKey && document.activeElement !== frame) return; // else the page would not scroll past
    event.preventDefault();
    zoom(event.deltaY < 0 ? STEP : 1 / STEP, ...at(event));
  });
  frame.addEventListener("keydown", (event) => {
    const tenth = view.width / 10;
    const moves = { ArrowLeft: [-tenth, 0], ArrowRight: [tenth, 0], ArrowUp: [0, -tenth], ArrowDown: [0, tenth] };
    if (moves[event.key]) move(view.left + moves[event.key][0], view.top + moves[event.key][1], view.width);
    else if (event.key === "+") zoom(STEP);
    else if (event.key === "-") zoom(1 / STEP);
    else if (event.key === "0") move(0, 0, count);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  const photosOf = (label, predicted) => whole(cells.find((one) => one[0] === label && one[1] === predicted)?.[2] ?? 0);

  function look() {
    const wanted = search.value.trim().toLowerCase();
    const fit = wanted ? classes.map((_, at) => at).filter((at) => classes[at].toLowerCase().includes(wanted)) : [];
    const shown = fit.slice(0, FOUND).map((label) => button(classes[label], () => choose(label, true)));
    const said = fit.length > FOUND ? t("many_more", { count: whole(fit.length - FOUND) }) : wanted && !fit.length ? t("many_none") : "";
    matches.replaceChildren(...shown, make("span", { class: "note" }, said));
  }
  /** Show the numbers of a class, and where it stands in the matrix. */
  function choose(label, zooms = false) {
    chosen = label;
    if (zooms) {
      const width = Math.min(count, 24);
      move(place[label] - width / 2, place[label] - width / 2, width);
    } else draw();
    const one = scores[label];
    const others = (here, there) =>
      cells.filter((cell) => cell[here] === label && cell[there] !== label).sort((a, b) => b[2] - a[2]).slice(0, LISTED)
        .map((cell) => `${classes[cell[there]]} (${whole(cell[2])})`).join(", ") || "–";
    card.replaceChildren(
      make("h4", {}, classes[label]),
      facts([
        [t("scores_recall"), percent(one.recall)],
        [t("many_precision"), percent(one.precision)],
        [t("many_photos"), whole(one.photos)],
        [t("many_taken_for"), others(0, 1)],
        [t("many_taken_as"), others(1, 0)],
      ]),
    );
  }
  const photo = (row) => (row === null ? "" : make("img", { src: pictureAddress("photo", { run, row }), alt: "", loading: "lazy", class: "thumb" }));
  const rows = pairs.map(({ mistake, other, ...pair }) => [
    make("span", {}, photo(mistake), " ", photo(other)),
    button(classes[pair.true], () => choose(pair.true, true)),
    button(classes[pair.predicted], () => choose(pair.predicted, true)),
    whole(pair.photos),
    percent(pair.share),
  ]);
  const columns = [t("many_examples"), t("scores_true"), t("many_predicted"), t("many_photos"), t("many_share")];
  whileShown(page, frame, draw);
  return [
    make("div", { class: "bar" }, make("label", {}, `${t("many_search")} `, search), button("+", () => zoom(STEP), { "aria-label": t("many_in") }),
      button("−", () => zoom(1 / STEP), { "aria-label": t("many_out") }), button(t("many_all"), () => move(0, 0, count))),
    matches, card, frame, under,
    make("h3", {}, t("many_pairs", { count: pairs.length })),
    region("scroll", t("many_pairs", { count: pairs.length }), table(columns, rows, { className: "pairs", caption: t("many_pairs", { count: pairs.length }) })),
  ];
}
