// @ts-check
// One row a trace: optimizer, learning rate as a number or by slider, schedule.

import { button, byId, fillSelect, make } from "./dom.js";
import { t } from "./texts.js";
import { makeScale } from "../player/scales.js";

const MOST = 8;
const SPAN = 1000; // the slider reaches that many times below and above the suggested rate
const NOTCHES = 400;

export function makeOptimizerRows(catalogue, changed, removed) {
  const home = byId("lab-optimizers");
  let rows = [];
  byId("lab-add").addEventListener("click", () => {
    add({ optimizer: "adam", lr: "", schedule: "" });
    changed();
  });

  function add({ optimizer, lr, schedule }) {
    if (rows.length >= MOST) return;
    const row = makeRow(catalogue, changed, () => {
      removed(rows.indexOf(row));
      rows = rows.filter((other) => other !== row);
      row.element.remove();
      limit();
      changed();
    });
    row.set({ optimizer, lr, schedule });
    rows.push(row);
    home.append(row.element);
    limit();
  }
  function limit() {
    byId("lab-add").disabled = rows.length >= MOST;
  }
  return {
    read: () => rows.map((row) => row.read()),
    write: () => rows.map((row) => row.write()).join(";"),
    /** Show the rates that Python has chosen where none was given. */
    showRates: (rates) => rows.forEach((row, number) => row.showRate(rates[number])),
    fill(text) {
      if (text === rows.map((row) => row.write()).join(";")) return;
      const wanted = text.split(";").filter(Boolean).slice(0, MOST).map((part) => {
        const [optimizer, lr = "", ...schedule] = part.split(":");
        return { optimizer, lr, schedule: schedule.join(":") };
      });
      home.replaceChildren();
      rows = [];
      for (const one of wanted) add(one);
      limit();
    },
  };
}

function makeRow(catalogue, changed, remove) {
  const optimizer = make("select", { "aria-label": t("lab_optimizer"), on: { change: () => ((lr.value = ""), changed()) } });
  const lr = make("input", { type: "number", min: 0, step: "any", "aria-label": t("lab_rate"), on: { change: changed } });
  const slider = make("input", { type: "range", min: 0, max: NOTCHES, step: 1, "aria-label": t("lab_rate_slider") });
  const schedule = make("input", {
    ...{ type: "text", class: "schedule", list: "schedules", placeholder: "constant", autocomplete: "off" },
    ...{ spellcheck: "false", "aria-label": t("lab_schedule"), on: { change: changed } },
  });
  fillSelect(optimizer, catalogue.optimizers.map((name) => [name, name]));
  let scale = makeScale("log", [1e-4, 1], [0, NOTCHES]);
  let middle = 0;
  slider.addEventListener("input", () => {
    lr.value = String(Number(scale.invert(Number(slider.value)).toPrecision(3)));
    changed();
  });
  const element = make("div", { class: "optimizer-row" }, optimizer, lr, button("×", remove, { "aria-label": t("lab_remove") }), slider, schedule);
  return {
    element,
    set(given) {
      const isKnown = catalogue.optimizers.includes(given.optimizer.split("(")[0]); // its own settings are in parentheses
      if (isKnown && !catalogue.optimizers.includes(given.optimizer)) optimizer.append(make("option", { value: given.optimizer }, given.optimizer));
      optimizer.value = isKnown ? given.optimizer : "sgd";
      lr.value = given.lr;
      schedule.value = given.schedule === "constant" ? "" : given.schedule;
      middle = 0;
    },
    read: () => ({ optimizer: optimizer.value, lr: lr.value === "" ? null : Number(lr.value), schedule: schedule.value.trim() || "constant" }),
    write: () => `${optimizer.value}:${lr.value}:${schedule.value.trim()}`,
    showRate(rate) {
      lr.placeholder = String(rate);
      if (!middle || lr.value === "") middle = rate;
      scale = makeScale("log", [middle / SPAN, middle * SPAN], [0, NOTCHES]);
      if (document.activeElement !== slider) slider.value = String(Math.round(scale(rate)));
      slider.setAttribute("aria-valuetext", String(rate));
    },
  };
}
