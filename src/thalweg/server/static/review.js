// @ts-check
// The labels that predictions doubt, corrected with the keyboard; each decision is saved at once.

import { Refusal, getJson, pictureAddress, postJson } from "./api.js";
import { button, make, note } from "./dom.js";

const MOVES = { ArrowLeft: -1, ArrowRight: 1 };

/** @param {any} page @param {string} run */
export async function makeReview(page, run) {
  const { title, about, photos, actions, classes, command, decided } = await getJson("review", { run });
  const past = [];
  let at = Math.max(0, photos.findIndex(({ path }) => !(path in decided)));
  const saved = { ...decided };
  let saving = Promise.resolve();
  const place = note();
  const label = make("strong");
  const more = make("p");
  // a picture does not say why it failed: asked again, the answer does; one that comes after all is no JSON
  const again = () => getJson("review/photo", { run, path: photos[at].path }).catch((error) => error instanceof Refusal && page.fail(error));
  const picture = make("img", { on: { error: again } });
  const buttons = (entries) => make("div", { class: "buttons" }, ...entries.map(([key, text]) => button(key[1] || key === text ? text : `${key.toUpperCase()} ${text}`, () => (act(key), section.focus()))));
  const chosen = buttons(classes);

  const put = (labels, path, label) => (label === undefined ? delete labels[path] : (labels[path] = label));
  /** Decide about the shown photo; undefined takes it back. */
  function set(label) {
    const { path } = photos[at];
    put(decided, path, label);
    const save = () => postJson("review", { path, label, forget: label === undefined }, { run });
    saving = saving.then(save).then(() => put(saved, path, label)).catch((error) => {
      if (decided[path] === label) put(decided, path, saved[path]); // else decided anew since
      draw();
      page.fail(error);
    });
  }
  /** Do what a key does; whether it does anything. */
  function act(key) {
    const { path, given, suggested } = photos[at];
    const labels = { ...Object.fromEntries(classes), Enter: suggested, k: given, x: null };
    if (key in labels) {
      past.push([at, decided[path]]);
      set(labels[key]);
      at += 1;
    } else if (key === "u" && past.length) {
      const [before, label] = past.pop();
      at = before;
      set(label);
    } else if (key in MOVES) at += MOVES[key];
    else return false;
    at = Math.min(photos.length - 1, Math.max(0, at));
    draw();
    return true;
  }
  function press(event) {
    const { key, target, currentTarget } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || (key === "Enter" && target !== currentTarget)) return;
    if (!act(key[1] ? key : key.toLowerCase())) return;
    event.preventDefault();
    event.stopPropagation();
  }
  function draw() {
    const { path, known, about } = photos[at];
    picture.src = pictureAddress("review/photo", { run, path });
    picture.alt = path;
    place.textContent = `${at + 1} / ${photos.length} · ${path}`;
    label.textContent = path in decided ? `${known} · ✓ ${decided[path] ?? actions[2][1]}` : known;
    more.textContent = about;
    classes.forEach(([, name], number) => chosen.children[number].setAttribute("aria-pressed", String(decided[path] === name)));
    if (photos[at + 1]) new Image().src = pictureAddress("review/photo", { run, path: photos[at + 1].path });
  }
  const parts = [place, picture, make("p", { "aria-live": "polite" }, label), more, buttons(actions), chosen, make("code", { class: "command", tabindex: 0 }, command)];
  if (photos.length) draw();
  const section = make("section", { class: "review", tabindex: 0, "aria-label": title, on: { keydown: press } }, make("h3", {}, title), ...about.map((text) => note(text)), ...(photos.length ? parts : []));
  return section;
}
