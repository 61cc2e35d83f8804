// @ts-check
// Guess the cause: numbered cases without names. The visitor looks, guesses, asks the diagnosis, and sees the fix.

import { postJson } from "./api.js";
import { verdictOf } from "./diagnosis.js";
import { button, byId, fillSelect, make, note } from "./dom.js";
import { t } from "./texts.js";

const [STEPS, MOST] = [300, 1000]; // of one's own network that the diagnosis watches, at least and at most
const KEPT = "thalweg-guesses"; // in the browser, until the window is closed

/**
 * @param {any} catalogue
 * @param {{start: (given: {number: number, seed: number} | null) => void, repair: () => void}} does
 */
export function makeGuessing(catalogue, { start, repair }) {
  const [strip, panel] = [byId("network-cases"), byId("network-guess")];
  /** @type {Record<number, boolean>} whether a case was guessed right the first time */
  const known = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  const score = make("span", { class: "note", role: "status" });
  const numbers = Array.from({ length: catalogue.cases }, (_, at) => button("", () => go(at + 1)));
  strip.append(
    make("div", { class: "tour-head" }, make("h2", {}, t("network_guess")), make("p", {}, t("network_guess_intro")), score),
    make("div", { class: "buttons small", role: "group", "aria-label": t("network_cases") }, ...numbers),
  );
  strip.addEventListener("keydown", arrows);
  let given = null;
  let isStarted = false; // by the visitor, who is then led on; an address leads nowhere

  function go(number) {
    isStarted = true;
    start({ number, seed: Math.floor(Math.random() * catalogue.case_seeds) });
  }
  /** One number has the Tab key; arrows go to the others. */
  function arrows(event) {
    const at = numbers.indexOf(event.target);
    const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    if (at < 0 || !by) return;
    event.preventDefault();
    event.stopPropagation();
    const next = numbers[(at + by + numbers.length) % numbers.length];
    for (const one of numbers) one.tabIndex = one === next ? 0 : -1;
    next.focus();
  }
  function mark() {
    const now = given?.number ?? Math.max(1, numbers.findIndex((_, at) => !(at + 1 in known)) + 1);
    numbers.forEach((one, at) => {
      const right = known[at + 1];
      one.textContent = `${at + 1}${right === undefined ? "" : right ? " ✓" : " ✗"}`;
      one.setAttribute("aria-label", t("network_case", { number: at + 1 }) + (right === undefined ? "" : ` (${t(right ? "network_right" : "network_wrong")})`));
      one.setAttribute("aria-pressed", String(given?.number === at + 1));
      one.tabIndex = at + 1 === now ? 0 : -1;
    });
    const asked = Object.values(known);
    score.textContent = asked.length ? t("network_score", { right: asked.filter(Boolean).length, of: asked.length }) : "";
  }
  function lay() {
    const causes = make("select", { id: "network-cause" });
    fillSelect(causes, [["", t("tour_choose")], ...catalogue.causes]);
    const [hint, answer] = [make("p", { class: "note wide", role: "status" }), make("div", { class: "wide", id: "network-answer", "aria-live": "polite" })];
    const heading = make("h2", { class: "wide", tabindex: -1 }, t("network_case", { number: given.number }));
    const ask = button(t("network_ask"), () => diagnose(causes, ask, answer), { class: "primary", id: "network-ask" });
    panel.replaceChildren(
      heading, make("p", { class: "wide" }, t("network_look")),
      make("label", { class: "wide" }, t("network_your_guess"), causes),
      make("div", { class: "buttons wide" }, ask, button(t("network_hint"), () => showHint(hint), { id: "network-hint" }), button(t("network_leave"), () => start(null))),
      hint, answer,
    );
    if (isStarted) heading.focus();
  }
  async function showHint(hint) {
    try {
      hint.textContent = (await postJson("network/hint", { case: given.number })).hint;
    } catch (error) {
      hint.textContent = error.message;
    }
  }
  /** Ask the server about this case; what comes for another is not shown. */
  async function asking(path, body, pressed, answer, show) {
    const mine = given;
    pressed.disabled = true;
    const waiting = note(t("js_working"));
    answer.append(waiting);
    try {
      const found = await postJson(path, { case: mine.number, seed: mine.seed, ...body });
      if (given === mine) show(found);
    } catch (error) {
      pressed.disabled = false;
      if (given === mine) answer.append(make("p", { class: "error" }, error.message));
    } finally {
      waiting.remove();
    }
  }
  const diagnose = (causes, ask, answer) =>
    asking("network/diagnose", causes.value ? { guess: causes.value } : {}, ask, answer, ({ right, title, about, verdict }) => {
      if (right !== null && !(given.number in known)) {
        known[given.number] = right;
        sessionStorage.setItem(KEPT, JSON.stringify(known));
        mark();
      }
      causes.disabled = true;
      const said = right === null ? t("network_was", { title }) : t(right ? "network_is_right" : "network_is_wrong", { title });
      const fix = button(t("network_try"), () => tryFix(fix, answer), { class: "primary", id: "network-try" });
      const result = make("h3", { id: "network-result", tabindex: -1, data: { right: String(right) } }, said);
      answer.replaceChildren(result, make("p", {}, about), fix, make("details", { open: true }, make("summary", {}, t("network_verdict")), verdictOf(verdict, "network-verdict")));
      fix.hidden = verdict.code === "healthy";
      result.focus();
    });
  const tryFix = (fix, answer) =>
    asking("network/try", {}, fix, answer, ({ about, text, after, helped }) => {
      fix.replaceWith(make("p", { class: "message", id: "network-tried", tabindex: -1, data: { helped: String(helped) } }, about === text ? text : `${about} ${text}`));
      byId("network-tried").focus();
      if (after) repair(); // where nothing was wrong, nothing is repaired
    });
  mark();
  return {
    /** The case of the address, or none. */
    show(next) {
      const same = given?.number === next?.number && given?.seed === next?.seed;
      if (same) return;
      given = next;
      panel.hidden = !given;
      if (given) lay();
      mark();
    },
  };
}

/**
 * The diagnosis of one's own network.
 * @param {() => {settings: any, steps: number}} current
 */
export function makeOwnDiagnosis(current) {
  const [ask, answer] = [byId("network-own"), byId("network-own-answer")];
  ask.addEventListener("click", async () => {
    ask.disabled = true;
    answer.replaceChildren(note(t("js_working")));
    try {
      const { settings, steps } = current();
      const { verdict } = await postJson("network/diagnose", { settings, steps: Math.min(MOST, Math.max(STEPS, steps)) });
      answer.replaceChildren(verdictOf(verdict, "network-own-verdict"));
    } catch (error) {
      answer.replaceChildren(make("p", { class: "error" }, error.message));
    } finally {
      ask.disabled = false;
    }
  });
  /** What is shown is another network now. */
  return () => answer.replaceChildren();
}
