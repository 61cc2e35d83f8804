// @ts-check
// The verdict in plain words, its evidence drawn, and its fixes with buttons that try them.

import { getJson, postJson } from "./api.js";
import { bar, button, byId, make, note } from "./dom.js";
import { makeChoice } from "./choosing.js";
import { percent, t } from "./texts.js";
import { ASK, makeProgress, waitFor } from "./waiting.js";
import { makeScale } from "../player/scales.js";

const WIDE = 30; // above this ratio a bar is logarithmic

export async function mountDiagnosis(page) {
  const home = byId("diagnosis");
  let mine = "";

  async function open(run) {
    mine = run;
    home.replaceChildren(note(t("diagnosis_running")));
    home.dataset.state = "running";
    try {
      const progress = makeProgress(t("diagnosis_title"));
      const verdict = await waitFor("verdict", { run }, () => mine === run, (now) => {
        if (!progress.elements[0].isConnected) home.append(...progress.elements);
        progress.show(now);
      });
      if (mine !== run) return;
      home.replaceChildren(shown(run, verdict));
      home.dataset.state = "done";
      const trial = await getJson("trial", { run });
      if (trial.state !== "none") follow(run, trial);
    } catch (error) {
      if (mine !== run) return;
      home.replaceChildren(make("p", { class: "message" }, error.message));
      home.dataset.state = "refused";
    }
  }
  function shown(run, verdict) {
    return verdictOf(verdict, "verdict-title", ({ code, can_be_tried: can }) => [
      can ? button(t("diagnosis_try"), () => tryFix(run, code), { class: "try" }) : note(t("diagnosis_not_tried")),
      make("div", { class: "trial", "aria-live": "polite" }),
    ]);
  }
  async function tryFix(run, fix) {
    try {
      follow(run, await postJson("trials", { fix }, { run }));
    } catch (error) {
      page.fail(error);
    }
  }
  /** Show the trial below its fix; a run has one trial at a time. */
  async function follow(run, trial) {
    let now = trial;
    while (mine === run) {
      const place = home.querySelector(`[data-fix="${CSS.escape(now.fix)}"] .trial`);
      if (!place) return;
      place.dataset.state = now.state;
      for (const one of home.querySelectorAll("button.try")) one.disabled = now.state === "running";
      const text = { running: t("diagnosis_trying"), done: now.text, failed: now.message };
      place.replaceChildren(make("p", { class: now.state === "failed" ? "error" : "message" }, text[now.state] ?? ""));
      if (now.state === "running") {
        const progress = makeProgress(t("diagnosis_try"));
        progress.show(now);
        place.append(...progress.elements);
      }
      if (now.state !== "running") return;
      await new Promise((done) => setTimeout(done, ASK));
      now = await getJson("trial", { run }).catch(() => now); // the server may be away for a moment
    }
  }
  const choice = makeChoice(byId("diagnosis-run"), open);
  return { show: (fields) => choice.show(fields) };
}

/**
 * A verdict: its words, its evidence, its fixes.
 * @param {any} verdict
 * @param {string} id of its title
 * @param {(fix: any) => any[]} [trialOf] what stands below a fix
 */
export function verdictOf(verdict, id, trialOf = () => []) {
  const fixes = verdict.fixes.map((fix) => make("li", { data: { fix: fix.code } }, make("p", {}, fix.text), ...trialOf(fix)));
  return make("article", { class: "verdict" },
    make("h3", { id, data: { code: verdict.code } }, verdict.title),
    make("p", {}, verdict.text),
    ...(verdict.confidence === null ? [] : [note(t("diagnosis_confidence", { share: percent(verdict.confidence) }))]),
    make("h3", {}, t("diagnosis_evidence")),
    evidenceOf(verdict.evidence),
    ...(fixes.length ? [make("h3", {}, t("diagnosis_fixes")), make("ol", {}, ...fixes)] : []),
    ...othersOf(verdict),
  );
}

/** Each measure as a bar with the threshold as a line across it. */
function evidenceOf(evidence) {
  const rows = evidence.flatMap(({ name, value, threshold, supports, text }) => {
    const track = bar(0);
    const [at, line] = placesOf(value, threshold);
    track.firstChild.style.width = `${100 * at}%`;
    const mark = make("i");
    mark.style.left = `${100 * line}%`;
    if (threshold !== null) track.append(mark);
    const kind = supports ? "for" : "against";
    return [
      make("span", { class: kind }, `${supports ? "✓" : "✗"} ${name}`),
      track,
      make("span", { class: kind }, [text, t(supports ? "diagnosis_for" : "diagnosis_against")].filter(Boolean).join(" · ")),
    ];
  });
  return make("div", { class: "bars evidence" }, ...rows);
}

/** Where value and threshold are on a bar, as shares of its width. */
function placesOf(value, threshold) {
  if (value === null || threshold === null) return [0, 0];
  const [low, high] = [Math.min(value, threshold, 0), Math.max(value, threshold)];
  if (value > 0 && threshold > 0 && high > WIDE * Math.min(value, threshold)) {
    const scale = makeScale("log", [Math.min(value, threshold) / 3, high * 3], [0, 1]);
    return [scale(value), scale(threshold)];
  }
  const scale = makeScale("linear", [low, low + 1.2 * (high - low || 1)], [0, 1]);
  return [scale(value), scale(threshold)];
}

function othersOf({ alternatives, unchecked }) {
  const other = alternatives.map(({ title, confidence }) => make("li", {}, confidence === null ? title : `${title}: ${percent(confidence)}`));
  return [
    ...(other.length ? [make("h3", {}, t("diagnosis_alternatives")), make("ul", {}, ...other)] : []),
    ...(unchecked.length ? [note(t("diagnosis_unchecked", { names: unchecked.join(t("between_phrases")) }))] : []),
  ];
}
