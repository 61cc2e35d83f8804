// @ts-check
// A new training run: a form of the configuration's fields, its command for the terminal, and the learning rate that
// will train.

import { getFrame, getJson, newestOnly, postJson } from "./api.js";
import { byId, fillSelect, make } from "./dom.js";
import { t } from "./texts.js";
import { drawAxes, frameOf } from "../player/axes.js";
import { pageColors, prepare } from "../player/canvas.js";
import { makeScale } from "../player/scales.js";

const NUMBERS = ["whole", "number"]; // kinds that are sent as numbers
const USUAL = ["model", "epochs", "budget", "batch_size", "optimizer", "lr", "schedule", "augment", "loss", "seed"];

export function makeNewRun(page, started) {
  const form = byId("runs-form");
  const opener = byId("runs-new");
  let built = null;
  opener.addEventListener("click", async () => {
    form.hidden = !form.hidden;
    opener.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden && !built) {
      try {
        built = build(form, await getJson("trainings/form"), started);
      } catch (error) {
        page.fail(error);
      }
    }
  });
}

function build(form, offered, started) {
  const inputs = new Map();
  const name = make("input", { type: "text", id: "new-name", value: freeName(), autocomplete: "off", maxlength: 64 });
  const photos = make("select", { id: "new-photos" });
  const recipe = make("select", { id: "new-recipe" });
  fillSelect(photos, offered.photos.map((path) => [path, path]));
  fillSelect(recipe, offered.recipes.map((one) => [one, one]), "quick");
  const command = make("code", { class: "command", tabindex: 0, id: "new-command" });
  const error = make("p", { class: "error wide", role: "alert" });
  const heading = make("p", { class: "note wide" }, t("new_schedule"));
  const canvas = make("canvas", { role: "img", "aria-label": t("new_schedule") });
  const picture = make("div", { class: "wide" }, canvas);
  picture.style.height = "130px";

  const field = ({ name: id, label, option, kind, choices, help }) => {
    const hint = `${option}: ${help}`;
    const input = choices || kind === "flag"
      ? make("select", { title: hint }, make("option", { value: "" }, ""), ...(choices ?? ["true", "false"]).map((one) => make("option", { value: one }, one)))
      : make("input", { type: NUMBERS.includes(kind) ? "number" : "text", step: kind === "whole" ? 1 : "any", title: hint, autocomplete: "off" });
    inputs.set(id, { input, kind });
    return make("label", { data: { option } }, label, input);
  };
  const usual = USUAL.map((id) => field(offered.fields.find((one) => one.name === id)));
  const rest = offered.fields.filter((one) => !USUAL.includes(one.name)).map(field);
  const more = make("details", { class: "wide" }, make("summary", {}, t("new_more")), make("div", { class: "panel grid" }, ...rest));
  const begin = make("button", { type: "submit", class: "primary", id: "new-start" }, t("new_start"));
  form.append(
    make("label", {}, t("new_name"), name),
    make("label", {}, t("new_photos"), photos),
    make("label", {}, t("new_recipe"), recipe),
    ...usual,
    more,
    heading,
    picture,
    make("p", { class: "note wide" }, t("run_command")),
    make("div", { class: "wide" }, command),
    error,
    make("div", { class: "buttons wide" }, begin),
  );

  const read = () => ({ name: name.value.trim(), photos: photos.value, recipe: recipe.value, options: optionsOf(inputs) });
  const check = newestOnly(async () => {
    try {
      const { command: text, config } = await postJson("trainings/command", read());
      command.textContent = text;
      error.textContent = "";
      for (const [id, { input }] of inputs) showDefault(input, config[id]);
      heading.textContent = t(config.find_lr ? "new_factor" : "new_schedule");
      drawSchedule(canvas, await getFrame("schedule", { spec: config.schedule, steps: 1000 }), config);
    } catch (refused) {
      error.textContent = refused.message;
    }
  });
  form.addEventListener("change", check);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    begin.disabled = true;
    try {
      const { run } = await postJson("trainings", read());
      error.textContent = "";
      form.hidden = true;
      byId("runs-new").setAttribute("aria-expanded", "false");
      name.value = freeName();
      started(run);
    } catch (refused) {
      error.textContent = refused.message;
    } finally {
      begin.disabled = false;
    }
  });
  check();
  return form;
}

function optionsOf(inputs) {
  const found = {};
  for (const [id, { input, kind }] of inputs) {
    const text = input.value.trim();
    if (text !== "") found[id] = kind === "flag" ? text === "true" : NUMBERS.includes(kind) ? Number(text) : text;
  }
  return found;
}

function freeName() {
  return `run-${new Date().toISOString().slice(5, 19).replace(/[:T]/g, "-")}`;
}

/** What the run has where a field is left empty. */
function showDefault(input, value) {
  const text = value === undefined ? "" : String(value);
  if (input instanceof HTMLSelectElement) input.options[0].textContent = text && `(${text})`;
  else input.placeholder = text;
}

/** The learning rate over the run; where Python will look for the rate, its factor alone. */
function drawSchedule(canvas, { arrays }, { lr: rate, find_lr: isSought }) {
  const lr = isSought ? 1 : rate;
  const { context, width, height } = prepare(canvas);
  const colors = pageColors();
  const frame = frameOf(width, height);
  const highest = Math.max(...arrays.factor, 1e-12);
  const x = makeScale("linear", [0, 100], [frame.left, frame.right]);
  const y = makeScale("linear", [0, 1.08 * highest * lr], [frame.bottom, frame.top]);
  drawAxes(context, frame, { x, y, xName: t("new_share"), yName: "", colors, grid: true });
  const last = arrays.steps[arrays.steps.length - 1] || 1;
  context.beginPath();
  arrays.steps.forEach((step, at) => context.lineTo(x((100 * step) / last), y(arrays.factor[at] * lr)));
  context.lineWidth = 2;
  context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  context.stroke();
}
