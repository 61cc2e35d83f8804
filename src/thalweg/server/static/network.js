// @ts-check
// A network that trains before one's eyes: settings or a case go to Python, its frames are played.

import { getJson, newestOnly, Refusal } from "./api.js";
import { readFields, writeFields } from "./address.js";
import { byId, make } from "./dom.js";
import { makeNetworkCharts, makeNumbers } from "./networkcharts.js";
import { longest, makeNetworkClock } from "./networkclock.js";
import { makeDrawing } from "./networkdraw.js";
import { makeNetworkForm } from "./networkform.js";
import { makeGuessing, makeOwnDiagnosis } from "./networkguess.js";
import { makeSource } from "./networksource.js";
import { makeView } from "./networkview.js";
import { readingText } from "../player/scales.js";
import { pageColors } from "../player/canvas.js";
import { t, whole } from "./texts.js";

const [COARSE, FINE] = [8, 100]; // frames up to a step: at once, and when the cursor rests
const REST = 400; // milliseconds
const TOLD = 4; // frames between two readings of the numbers, while a network trains
const FEWEST = 4; // points of one's own, with which a network can train
const EMPTY = { window: [-1.56, 1.56, -1.56, 1.56], inputs: ["x", "y"], layers: [], classes: ["0", "1"] }; // before they are there

export async function mountNetwork(page) {
  const catalogue = await getJson("network");
  const player = byId("network-player");
  const form = makeNetworkForm(byId("network-form"), catalogue, changed);
  const guessing = page.isAlone ? { show() {} } : makeGuessing(catalogue, { start, repair });
  const clock = makeNetworkClock({ draw, rested, goTo });
  const bar = make("div", { class: "buttons small", id: "network-draw", role: "group", "aria-label": t("network_draw") });
  const drawing = makeDrawing(bar, {
    points: ownPoints,
    put: (points) => form.draw(points.slice(0, catalogue.limits.drawn[1])),
    moved: () => draw(true),
    window: () => shownWindow,
  });
  const forgetVerdict = makeOwnDiagnosis(() => ({ settings: form.read()[0], steps: Number(player.dataset.step) }));
  /** @type {ReturnType<typeof makeSource>[]} */
  let sources = [];
  /** @type {ReturnType<typeof makeView>[]} */
  let views = [];
  let charts = null;
  let numbers = null;
  let built = "";
  let given = null; // the case
  let repaired = false;
  let wanted = 0; // the step of the address
  let drawn = 0; // frames
  let timer = 0;
  let shownFor = "";
  let shownWindow = [-1, 1, -1, 1];

  const bodies = () => {
    if (!given) return form.read().map((settings) => ({ settings }));
    const body = { case: given.number, seed: given.seed };
    return repaired ? [body, { ...body, repaired: true }] : [body];
  };
  const names = () => (given ? (repaired ? [t("network_as_it_was"), t("network_repaired")] : [""]) : form.read().length > 1 ? ["A", "B"] : [""]);

  const load = newestOnly(async () => {
    const began = performance.now();
    forgetVerdict();
    const asked = bodies();
    const few = asked[0].settings?.points === "drawn" && form.drawn().length < FEWEST;
    byId("network-error").textContent = few ? t("network_few", { least: FEWEST }) : "";
    if (few) {
      if (!views.length) build([EMPTY]);
      draw(true); // the points alone
      return;
    }
    const step = clock.isPlaying() ? 0 : wanted;
    const some = catalogue.fixed ? Infinity : COARSE; // what is there already comes whole
    const next = (await opened(asked, step, some)) ?? (sources.length || !step ? null : await opened(asked, 0, some)); // a case may end before that step
    if (!next) return;
    take(next, step);
    player.dataset.ready = "true";
    player.dataset.drawn = String(Math.round(performance.now() - began));
    clearTimeout(timer);
    if (step && !catalogue.fixed) timer = setTimeout(() => refine(asked, step), REST);
  });
  /** Sources that have their first frames; nothing where they were refused. */
  async function opened(asked, step, some) {
    const next = asked.map((body) => makeSource({ ...body, sharpness: true }, catalogue.limits.steps[1], { came, failed }));
    try {
      await Promise.all(next.map((source) => source.open(step, some)));
    } catch (error) {
      failed(error);
      return null;
    }
    if (asked[0].settings?.points === "photos") for (const source of next) source.header().inputs = [1, 2].map((number) => t("network_component", { number }));
    return next;
  }
  function take(next, step) {
    for (const source of sources) source.close();
    sources = next;
    build(sources.map((source) => source.header()));
    clock.begin(sources, step > 0);
    draw(true);
  }
  /** Once a hand has left the slider: the curves up to this step, with more of their points. */
  async function refine(asked, step) {
    const before = sources;
    const isMoved = () => sources !== before || clock.isPlaying() || Number(player.dataset.step) !== step;
    const next = isMoved() ? null : await opened(asked, step, FINE);
    if (next && !isMoved()) take(next, step);
  }

  function failed(error) {
    byId("network-error").textContent = error.message;
    clock.pause();
    if (!(error instanceof Refusal)) throw error;
  }
  function came() {
    if (!clock.isPlaying()) draw(true);
  }
  /** Lay out pictures, charts and table, where they are not those that are shown. */
  function build(headers) {
    shownWindow = headers[0].window;
    const key = JSON.stringify([names(), headers.map(({ layers, inputs, classes }) => [layers, inputs, classes]), !!given, byId("network-points").value]);
    if (key === built) return;
    built = key;
    const home = byId("network-pictures");
    const isDrawnOn = home.contains(document.activeElement) && document.activeElement?.matches(".frame");
    home.replaceChildren();
    const isFixed = !!given || catalogue.fixed || byId("network-points").value === "photos"; // then nothing is drawn
    if (headers.length > 1 && !isFixed) home.append(bar);
    home.dataset.columns = String(headers.length);
    views = headers.map((header, number) => makeView(home, names()[number], header, isFixed ? null : { ...drawing, bar: headers.length > 1 ? null : bar }));
    charts = makeNetworkCharts(byId("network-charts"), names(), clock.moveTo);
    numbers = makeNumbers(byId("network-numbers"), names());
    if (isDrawnOn) /** @type {any} */ (home.querySelector(".frame")).focus();
  }
  function draw(wholly = false) {
    if (!player.offsetParent || !views.length) return;
    const colors = pageColors();
    const { index, farthest } = clock.state();
    const own = !given && byId("network-points").value === "drawn" ? localPoints() : null;
    const bare = !sources.length || (own !== null && own.labels.length < FEWEST); // the points alone
    const frames = views.map((_, number) => (bare ? null : sources[number].frame(Math.min(index, sources[number].columns.length - 1))));
    views.forEach((view, number) => {
      if (frames[number] || bare) view.draw(frames[number], own, number ? null : drawing.cursor(), colors, wholly);
    });
    if (!sources.length) return;
    charts.draw(sources, index, farthest, colors, wholly);
    drawn += 1;
    if (!wholly && drawn % TOLD) return; // texts are laid out less often, and after all that is drawn
    views.forEach((view, number) => frames[number] && view.tell(frames[number]));
    numbers(sources, index);
  }
  let version = 0;
  let versionOf = null;
  /** The points that the visitor placed, at once. */
  function localPoints() {
    const points = form.drawn();
    if (points !== versionOf) [versionOf, version] = [points, version + 1];
    const held = new Uint8Array(points.length);
    return { places: points.flatMap(([x, y]) => [x, y]), labels: points.map((point) => point[2]), held, version: `own ${version}` };
  }
  /** The points from which drawing goes on: those that are shown. */
  function ownPoints() {
    if (byId("network-points").value === "drawn" || !sources.length) return form.drawn();
    const arrays = sources[0].frame(clock.state().index)?.arrays;
    if (!arrays || byId("network-points").value === "photos") return [];
    return Array.from(arrays.labels, (label, at) => [Number(arrays.points[2 * at].toFixed(2)), Number(arrays.points[2 * at + 1].toFixed(2)), label]);
  }
  /** The cursor rests: into the address, and said. */
  function rested(step) {
    wanted = step;
    if (readFields().tab !== "network") return;
    writeFields({ step: step ? String(step) : null });
    const source = longest(sources);
    const header = source.header();
    byId("network-note").textContent = header.ended === null || step < header.ended ? "" : t("network_ended", { step: whole(header.ended) });
    const said = (name) => readingText(source.columns.get(name)[clock.state().index]);
    byId("network-live").textContent = t("network_spoken", { step: whole(step), loss: said("loss"), accuracy: said("accuracy") });
  }
  /** A step that was typed; where it has not come yet, it is asked for. */
  function goTo(step) {
    wanted = Math.min(catalogue.limits.steps[1], Math.max(0, Math.round(step) || 0));
    load();
  }
  const key = (fields) => JSON.stringify([form.write(), fields.case ?? "", fields.repaired ?? ""]);
  function changed() {
    writeFields({ tab: "network", ...form.write() });
    shownFor = key(readFields());
    load();
  }
  function start(next) {
    const own = Object.fromEntries(Object.entries(form.write()).filter(([, value]) => value));
    page.goTo({ tab: "network", ...own, ...(next && { case: `${next.number}-${next.seed}` }) });
  }
  function repair() {
    repaired = true;
    writeFields({ repaired: "1" });
    shownFor = key(readFields());
    clock.play(true);
    load();
  }
  page.onTheme(() => {
    built = "";
    if (sources.length) build(sources.map((source) => source.header()));
    draw(true);
  });
  new ResizeObserver(() => draw(true)).observe(player);

  return {
    actions: clock.actions,
    async show(fields) {
      form.fill(fields);
      const [number, seed] = (fields.case ?? "").split("-").map(Number);
      given = number >= 1 && number <= catalogue.cases ? { number, seed: seed || 0 } : null;
      repaired = fields.repaired === "1";
      for (const name of ["form", "diagnosis"]) byId(`network-${name}`).hidden = !!given;
      guessing.show(given);
      if (key(fields) !== shownFor) {
        shownFor = key(fields);
        wanted = Number(fields.step) || 0;
        if (!fields.step) clock.play(true);
        await load();
      }
      draw(true);
    },
  };
}
