// @ts-check
// The verdict in plain words, its evidence drawn, and its remedies as buttons that start the proof.

import { getJson, postJson } from "./api.js";
import { bar, button, byId, make } from "./dom.js";
import { makeChoice } from "./choosing.js";
import { percent, short, t } from "./texts.js";
import { makeScale } from "../player/scales.js";

const ASK = 1000; // milliseconds between two looks at a proof
const WIDE = 30; // ratio from which on a bar is logarithmic

export async function mountDiagnosis(page) {
  const home = byId("diagnosis");
  let mine = "";

  async function open(run) {
    mine = run;
    home.replaceChildren(make("p", { class: "note" }, t("diagnosis_running")));
    home.dataset.state = "running";
    try {
      const verdict = await getJson("verdict", { run });
      if (mine !== run) return;
      home.replaceChildren(...told(run, verdict));
      home.dataset.state = "told";
      const proof = await getJson("proof", { run });
      if (proof.state !== "none") follow(run, proof);
    } catch (error) {
      if (mine !== run) return;
      home.replaceChildren(make("p", { class: "message" }, error.message));
      home.dataset.state = "refused";
    }
  }
  function told(run, verdict) {
    const remedies = verdict.remedies.map(({ code, text, can_be_tried: can }) =>
      make("li", { data: { remedy: code } },
        make("p", {}, text),
        can ? button(t("diagnosis_prove"), () => prove(run, code), { class: "prove" }) : make("p", { class: "note" }, t("diagnosis_not_tried")),
        make("div", { class: "proof", "aria-live": "polite" }),
      ),
    );
    return [
      make("article", { class: "verdict" },
        make("h3", { id: "verdict-title", data: { code: verdict.code } }, verdict.title),
        make("p", {}, verdict.text),
        make("p", { class: "note" }, t("diagnosis_confidence", { share: percent(verdict.confidence) })),
        make("h3", {}, t("diagnosis_evidence")),
        evidenceOf(verdict.evidence),
        ...(remedies.length ? [make("h3", {}, t("diagnosis_remedies")), make("ol", {}, ...remedies)] : []),
        ...othersOf(verdict),
      ),
    ];
  }
  async function prove(run, remedy) {
    try {
      follow(run, await postJson("proof", { remedy }, { run }));
    } catch (error) {
      page.fail(error);
    }
  }
  /** What comes out stands below its remedy; one proof of a run is made at a time. */
  async function follow(run, proof) {
    let now = proof;
    while (mine === run) {
      const place = home.querySelector(`[data-remedy="${CSS.escape(now.remedy)}"] .proof`);
      if (!place) return;
      place.dataset.state = now.state;
      for (const one of home.querySelectorAll("button.prove")) one.disabled = now.state === "running";
      const said = { running: t("diagnosis_proving"), done: now.text, failed: now.message };
      place.replaceChildren(make("p", { class: now.state === "failed" ? "error" : "message" }, said[now.state] ?? ""));
      if (now.state !== "running") return;
      await new Promise((done) => setTimeout(done, ASK));
      now = await getJson("proof", { run }).catch(() => now); // a server that is away for a moment is asked again
    }
  }
  const choice = makeChoice(byId("diagnosis-run"), open);
  return { show: (fields) => choice.show(fields) };
}

/** Each measure as a bar with the threshold as a line across it. */
function evidenceOf(evidence) {
  const rows = evidence.flatMap(({ name, value, threshold, relation, supports }) => {
    const track = bar(0);
    const [at, line] = placesOf(value, threshold);
    track.firstChild.style.width = `${100 * at}%`;
    const mark = make("i");
    mark.style.left = `${100 * line}%`;
    if (threshold !== null) track.append(mark);
    const shown = `${short(value)} ${relation} ${short(threshold)}`;
    const kind = supports ? "for" : "against";
    return [
      make("span", { class: kind }, `${supports ? "✓" : "✗"} ${name}`),
      track,
      make("span", { class: kind }, `${shown} (${t(supports ? "diagnosis_for" : "diagnosis_against")})`),
    ];
  });
  return make("div", { class: "bars evidence" }, ...rows);
}

/** Where value and threshold lie on a bar, in shares of its width. */
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
  const other = alternatives.map(({ title, confidence }) => make("li", {}, `${title}: ${percent(confidence)}`));
  return [
    ...(other.length ? [make("h3", {}, t("diagnosis_alternatives")), make("ul", {}, ...other)] : []),
    ...(unchecked.length ? [make("p", { class: "note" }, t("diagnosis_unchecked", { names: unchecked.join(", ") }))] : []),
  ];
}
