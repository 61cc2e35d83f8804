// @ts-check
// The page's sentences, in the language it was asked for.

/** @type {Record<string, string>} */
const sentences = JSON.parse(document.getElementById("texts")?.textContent ?? "{}");

export const language = document.documentElement.lang;

/** A sentence, its placeholders filled in; one that is not there shows its key. */
export function t(key, values = {}) {
  const sentence = sentences[key] ?? key;
  return sentence.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

const WHOLE = new Intl.NumberFormat(language, { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat(language, { maximumSignificantDigits: 4 });
const SHARE = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 1 });
const EXACT_SHARE = new Intl.NumberFormat(language, { style: "percent", maximumFractionDigits: 2 });

const orDash = (format) => (value) => (value === null || value === undefined || Number.isNaN(value) ? "–" : format(value));

export const whole = orDash((value) => WHOLE.format(value));
/** Rounded as it is written, half up, as in Python: a number is first made exact, so that 0.285 would not be below. */
export const percent = orDash((value) => SHARE.format(/** @type {any} */ (String(value))));
/** The score of a run that decides which weights are best: accuracy, or with its name mean average precision. */
export const scored = (run, value) => `${percent(value)}${run.several && value !== null && value !== undefined ? " mAP" : ""}`;
/** With two decimals: where neighbors are told apart. */
export const exactPercent = orDash((value) => EXACT_SHARE.format(/** @type {any} */ (String(value))));
/** Four digits; very small ones by their power of ten. */
export const short = orDash((value) => {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e7) ? value.toExponential(2) : SHORT.format(value);
});
/** Minutes and seconds. */
export const duration = orDash((seconds) => {
  const [minutes, rest] = [Math.floor(seconds / 60), Math.round(seconds % 60)];
  return minutes ? t("js_minutes", { minutes, seconds: rest }) : t("js_seconds", { seconds: rest });
});
