// @ts-check
// One run: its state, stop and resume, its confusion matrix, its layers, and some photos.

import { readFields, writeFields } from "./address.js";
import { getFrame, getJson, pictureAddress, postJson } from "./api.js";
import { button, byId, facts, make, note, region, table } from "./dom.js";
import { duration, percent, scored, short, t, whole } from "./texts.js";
import { heatColor, ratioColor } from "./heat.js";

export function makeDetail(page) {
  const home = byId("run-detail");
  const results = byId("run-results");
  let name = "";
  let listing = { runs: [], trainings: [] };
  let rate = null;
  let landscape = null;
  const parts = {};

  function build() {
    home.replaceChildren();
    results.replaceChildren();
    landscape?.close();
    landscape = null;
    if (!name) return;
    Object.assign(parts, {
      facts: make("div"),
      verdict: make("p", { id: "run-verdict" }),
      buttons: make("div", { class: "buttons" }),
      output: make("div"),
      landscape: make("div"),
      review: make("div"),
      scores: make("div", { id: "run-scores" }),
      layers: make("div"),
    });
    home.append(make("h2", {}, name), parts.facts, parts.verdict, parts.buttons, parts.output, parts.landscape, parts.review);
    results.append(parts.scores, parts.layers);
    draw();
    if (isListed()) load(); // a run that was just started has nothing to read yet
    if (isListed() && readFields().landscape) openLandscape(readFields().landscape);
  }
  /** Show the landscape, or close it. */
  async function toggleLandscape() {
    const opens = !landscape;
    writeFields({ landscape: opens ? "on" : null, step: null, view: null, hide: null });
    if (opens) return openLandscape("on");
    landscape.close();
    landscape = null;
    parts.landscape.replaceChildren();
    showPressed();
  }
  async function openLandscape(plane) {
    const mine = name;
    const { makeLandscape } = await import("./landscape.js");
    if (mine !== name || landscape) return;
    landscape = makeLandscape(page, name);
    parts.landscape.replaceChildren(landscape.element);
    showPressed();
    await landscape.draw(plane);
  }
  async function openReview() {
    const mine = name;
    try {
      const review = await (await import("./review.js")).makeReview(page, mine);
      if (mine !== name) return;
      parts.review.replaceChildren(review);
      review.focus();
    } catch (error) {
      page.fail(error);
    }
  }
  const showPressed = () => parts.buttons.querySelector("#run-landscape-button")?.setAttribute("aria-expanded", String(Boolean(landscape)));
  const listed = () => listing.runs.find((one) => one.run === name);
  const isListed = () => Boolean(listed());
  function draw() {
    if (!parts.facts) return;
    const run = listing.runs.find((one) => one.run === name);
    const started = listing.trainings.find((one) => one.run === name);
    if (started) showStarted(started);
    if (!run) return; // its folder is not there yet, or it failed before
    home.dataset.state = run.state;
    parts.facts.replaceChildren(
      facts([
        [t("column_state"), t(`state_${run.state}`)],
        [t("column_epoch"), `${short(run.epoch)}${run.epochs ? ` / ${whole(run.epochs)}` : ""}`],
        [t("column_last_loss"), short(run.last_loss)],
        [t("column_best"), scored(run, run.best)],
        [t("column_test"), scored(run, run.test)],
        [t("column_seconds"), duration(run.seconds)],
        [t("photos_per_second"), run.state === "training" ? whole(rate) : "–"],
        ...(run.weights ? [[t("column_weights"), [run.weights, run.license].filter(Boolean).join(" · ")]] : []),
        [t("column_photos"), `${run.photos} · ${whole(run.train)} · ${t("classes", { count: run.classes })}`],
      ]),
    );
    const going = started?.goes_on || run.state === "training";
    const key = `${name} ${going} ${started?.goes_on}`;
    if (parts.buttons.dataset.shown === key) return; // a button that is replaced under a finger would not be pressed
    parts.buttons.dataset.shown = key;
    parts.buttons.replaceChildren(
      ...(going && started?.goes_on ? [button(t("run_stop"), (event) => ((event.currentTarget.disabled = true), act("stop")), { id: "run-stop" })] : []),
      ...(going && !started?.goes_on ? [make("span", { class: "note" }, t("run_elsewhere"))] : []),
      ...(!going ? [button(t("run_resume"), () => act("resume"), { id: "run-resume" })] : []),
      ...["diagnosis", "embeddings", "classify"].map((tab) => button(t(`run_to_${tab}`), () => page.goTo({ tab, run: name }))),
      ...(isListed() ? [button(t("run_to_landscape"), toggleLandscape, { id: "run-landscape-button", "aria-expanded": "false" })] : []),
      ...(isListed() && !listed().several ? [button(t("run_to_review"), openReview, { id: "run-review-button" })] : []), // it needs one label a photo
    );
    showPressed();
  }
  function showStarted({ command, lines, exit_code, failed }) {
    if (parts.output.dataset.shown !== command) {
      parts.output.dataset.shown = command; // stays, so that it can be copied
      parts.line = note();
      parts.failure = make("p", { class: "error" });
      const typed = make("code", { class: "command", tabindex: 0 }, command);
      parts.output.replaceChildren(note(t("run_command")), typed, parts.line, parts.failure);
    }
    parts.line.dataset.exit = String(exit_code);
    parts.line.textContent = lines[lines.length - 1] ?? "";
    parts.failure.textContent = !failed ? "" : lines.slice(-3).join("\n");
  }
  async function act(what) {
    try {
      await postJson(`trainings/${what}`, { run: name });
    } catch (error) {
      page.fail(error);
    }
  }
  async function load() {
    const mine = name;
    const show = async (part, work) => {
      part.replaceChildren(note(t("js_working")));
      try {
        const found = await work();
        if (mine === name) part.replaceChildren(...found);
      } catch (error) {
        if (mine === name) part.replaceChildren(note(error.message));
      }
    };
    await show(parts.verdict, async () => {
      const { title, text } = await getJson("glance", { run: mine });
      return [make("strong", {}, title), ` ${text}`];
    });
    await show(parts.layers, async () => layersOf(await getFrame("layers", { run: mine })));
    await show(parts.scores, async () => scoresOf(page, mine, await getJson("scores", { run: mine })));
  }
  return {
    open(run, next) {
      listing = next;
      if (run === name) return draw();
      name = run;
      rate = null;
      return build();
    },
    update(next) {
      const before = listing.runs.find((one) => one.run === name)?.state;
      listing = next;
      draw();
      const after = listing.runs.find((one) => one.run === name)?.state;
      if (parts.scores && after && (before === undefined || (before === "training" && after !== "training"))) load();
    },
    shown: () => name,
    actions: () => landscape?.actions(),
    rate(run, value) {
      if (run === name && value) rate = value;
    },
    epoch(run) {
      if (run === name && parts.scores && !parts.scores.querySelector("table")) load();
    },
  };
}

async function scoresOf(page, run, found) {
  const { note: covered, samples, right, rows } = found;
  const title = t(rows ? "scores_title_several" : "scores_title");
  const shown = rows
    ? [region("scroll", title, table(found.columns, rows, { rowHeads: true, caption: title }))]
    : found.matrix ? [region("scroll", title, matrixOf(found))] : (await import("./manyclasses.js")).manyClasses(page, run, found);
  const cards = samples.map(({ row, ...sample }) =>
    make("figure", { class: sample.right ? "card" : "card wrong" },
      make("img", { src: pictureAddress("photo", { run, row }), alt: sample.true, loading: "lazy" }),
      make("figcaption", {}, sample.right ? `✓ ${sample.true}` : `✗ ${sample.true} → ${sample.predicted}`, ...(rows ? [] : [make("br"), percent(sample.probability)])),
    ),
  );
  return [
    make("h3", {}, title),
    note(`${percent(right)}${rows ? " mAP" : ""} · ${covered}`),
    ...shown,
    make("h3", {}, t("scores_samples")),
    make("div", { class: "cards" }, ...cards),
  ];
}

function matrixOf({ classes, matrix, scores }) {
  const columns = [t("scores_true"), ...classes, t("scores_recall")];
  const rows = matrix.map((counts, at) => {
    const all = counts.reduce((sum, count) => sum + count, 0) || 1;
    const cells = counts.map((count) => {
      const cell = make("span", {}, whole(count));
      cell.dataset.share = String(count / all);
      return cell;
    });
    return [classes[at], ...cells, percent(scores[at].recall)];
  });
  const confusion = table(columns, rows, { rowHeads: true, className: "confusion", caption: t("scores_title") });
  for (const cell of confusion.querySelectorAll("span[data-share]")) {
    const { background, ink } = heatColor(Number(cell.dataset.share));
    cell.parentElement.style.backgroundColor = background;
    cell.parentElement.style.color = ink;
  }
  return confusion;
}

/** The update ratio of each layer over the steps as a strip of colors, and the newest as a number. */
function layersOf({ header, arrays }) {
  const heading = [make("h3", {}, t("layers_title")), note(header.sentence)];
  if (header.missing) return [...heading, note(header.missing)];
  const rows = header.layers.map((layer, at) => {
    const values = arrays[String(at)];
    return [layer, stripOf(values, `${layer}: ${t("layers_strip")}`), short(values[values.length - 1])];
  });
  const steps = t("layers_steps", { first: whole(arrays.step[0]), last: whole(arrays.step[arrays.step.length - 1]) });
  const columns = [t("layers_layer"), steps, t("layers_ratio")];
  const drawn = table(columns, rows, { rowHeads: true, className: "layers", caption: t("layers_title") });
  return [...heading, keyOfRatios(), region("scroll", t("layers_title"), drawn)];
}

/** One row of the heat map: a pixel for each measured step, stretched by the style sheet. */
function stripOf(values, label) {
  const canvas = make("canvas", { class: "strip", role: "img", "aria-label": label, width: Math.max(1, values.length), height: 1 });
  const context = canvas.getContext("2d");
  values.forEach((value, at) => {
    context.fillStyle = ratioColor(value);
    context.fillRect(at, 0, 1, 1);
  });
  return canvas;
}

function keyOfRatios() {
  const powers = Array.from({ length: 61 }, (_, at) => 10 ** (-6 + at / 10));
  return make("p", { class: "ratio-key" }, "10⁻⁶", stripOf(powers, t("layers_key")), "1");
}
