// @ts-check
// The settings of a network, once or twice side by side: read for Python, written into the address, filled from it.

import { fillSelect, make } from "./dom.js";
import { t } from "./texts.js";
import { makeScale } from "../player/scales.js";

const GROUPS = {
  points: ["points", "run", "of", "noise", "count", "seed"], // these are the same for both
  network: ["widths", "activation", "init", "norm", "dropout"],
  training: ["loss", "optimizer", "lr", "schedule", "batch", "decay", "total"],
};
const SLIDERS = { noise: "linear", dropout: "linear", lr: "log" };
const NOTCHES = 200;
const RATES = [1e-5, 10]; // the slider's; the field takes others

/**
 * @param {HTMLFormElement} form
 * @param {any} catalogue
 * @param {() => void} changed
 */
export function makeNetworkForm(form, catalogue, changed) {
  const { defaults, limits, fields: labels } = catalogue;
  const both = make("input", { type: "checkbox", id: "network-compare" });
  /** @type {{name: string, second: boolean, control: any, slider: any, label: HTMLElement, text: Text}[]} */
  const all = [];
  let drawn = [];

  for (const [group, names] of Object.entries(GROUPS)) {
    form.append(make("h3", { class: "wide" }, t(`network_group_${group}`)));
    for (const name of names) for (const second of group === "points" ? [false] : [false, true]) add(name, second);
  }
  form.prepend(make("label", { class: "wide check" }, both, t("network_compare")));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("change", ({ target }) => {
    if (target === both && both.checked) for (const one of all) if (one.second) set(one, find(one.name).control.value);
    lay();
    changed();
  });

  function add(name, second) {
    const id = `network-${name}${second ? "-2" : ""}`;
    const choices = name === "run" ? catalogue.photos.map((run) => [run, run]) : catalogue.choices[name];
    const [least, most] = limits[name] ?? [];
    const control = choices
      ? make("select", { id })
      : name === "widths" || name === "schedule"
        ? make("input", { id, type: "text", autocomplete: "off", spellcheck: "false", list: name === "schedule" ? "schedules" : null })
        : make("input", { id, type: "number", min: least, max: most, step: ["noise", "dropout", "decay", "lr"].includes(name) ? "any" : 1 });
    if (choices) fillSelect(control, choices);
    const text = document.createTextNode(labels[name]);
    const slider = SLIDERS[name] ? make("input", { type: "range", min: 0, max: NOTCHES, step: 1, "aria-label": t("network_slider", { name: labels[name] }) }) : null;
    const label = make("div", { class: "field" }, make("label", {}, text, control), slider);
    const one = { name, second, control, slider, label, text };
    slider?.addEventListener("input", () => {
      control.value = String(Number(scaleOf(name).invert(Number(slider.value)).toPrecision(2)));
      changed();
    });
    if (name === "optimizer") control.addEventListener("change", () => set(find("lr", second), catalogue.rates[control.value] ?? defaults.lr));
    all.push(one);
    form.append(label);
  }
  const scaleOf = (name) => makeScale(SLIDERS[name], name === "lr" ? RATES : limits[name], [0, NOTCHES]);
  const find = (name, second = false) => /** @type {any} */ (all.find((one) => one.name === name && one.second === second));

  function set(one, value) {
    one.control.value = Array.isArray(value) ? value.join("-") : String(value ?? "");
    if (one.control.tagName === "SELECT" && one.control.selectedIndex < 0) one.control.selectedIndex = 0;
  }
  /** Show what this choice of points and of comparing has. */
  function lay() {
    const points = find("points").control.value;
    for (const { name, second, control, slider, label, text } of all) {
      const photos = name === "run" || name === "of";
      label.hidden = (second && !both.checked) || (photos && points !== "photos") || (points === "drawn" && (name === "noise" || name === "count")) || (points === "photos" && (name === "noise" || name === "count"));
      text.textContent = labels[name] + (both.checked && twice(name) ? (second ? " B" : " A") : "");
      if (slider && document.activeElement !== slider) {
        const value = Number(control.value);
        const place = name === "lr" && !(value > 0) ? 0 : scaleOf(name)(value);
        slider.value = String(Math.min(NOTCHES, Math.max(0, Math.round(place))));
      }
    }
    form.classList.toggle("twice", both.checked);
  }
  const valueOf = ({ name, control }) => {
    if (name === "widths") return control.value.split(/[^\d.]+/).filter(Boolean).map(Number);
    return control.type === "number" ? (control.value === "" ? defaults[name] : Number(control.value)) : control.value.trim() || defaults[name];
  };
  function read(second) {
    const found = Object.fromEntries(all.filter((one) => one.second === (second && twice(one.name))).map((one) => [one.name, valueOf(one)]));
    const { points, run, of, ...rest } = found;
    return { points, ...(points === "photos" && { run, of }), ...(points === "drawn" && { drawn }), ...rest };
  }
  const same = (name, value, other) => String(value) === String(other ?? "");
  return {
    /** The settings: one, or two to compare. */
    read: () => (both.checked ? [read(false), read(true)] : [read(false)]),
    drawn: () => drawn,
    /** Points of the visitor's own. */
    draw(points) {
      drawn = points;
      set(find("points"), "drawn");
      lay();
      changed();
    },
    /** The fields of the address: what differs from the usual; of the second, what differs from the first. */
    write() {
      const entries = all.map((one) => {
        const value = valueOf(one);
        const shown = one.label.hidden || same(one.name, value, one.second ? valueOf(find(one.name)) : usual(one.name));
        return [one.name + (one.second ? "2" : ""), shown ? null : Array.isArray(value) ? value.join("-") || "0" : String(value)];
      });
      const own = find("points").control.value === "drawn" ? drawn.map((point) => point.join("_")).join("*") : null;
      return { ...Object.fromEntries(entries), drawn: own, compare: both.checked ? "1" : null };
    },
    fill(fields) {
      both.checked = fields.compare === "1";
      for (const one of all) if (!one.second) set(one, one.name === "widths" && fields.widths === "0" ? "" : (fields[one.name] ?? (one.name === "lr" ? usual("lr", fields.optimizer) : defaults[one.name])));
      for (const one of all) if (one.second) set(one, fields[`${one.name}2`] ?? find(one.name).control.value);
      drawn = (fields.drawn ?? "").split("*").filter(Boolean).map((point) => point.split("_").map(Number));
      lay();
    },
  };

  /** What a field has where the address is silent; the rate is the optimizer's own. */
  function usual(name, optimizer = find("optimizer").control.value) {
    return name === "lr" ? (catalogue.rates[optimizer] ?? defaults.lr) : defaults[name];
  }
  function twice(name) {
    return !GROUPS.points.includes(name);
  }
}
