// @ts-check
// From values to pixels, ticks, and how a number is written. Pure: no page is needed to test it.

/** @typedef {"linear" | "log" | "log1p"} Kind */

const FORWARD = {
  linear: (value) => value,
  log: (value) => Math.log10(value),
  log1p: (value) => Math.log10(1 + value),
};
const BACKWARD = {
  linear: (value) => value,
  log: (value) => 10 ** value,
  log1p: (value) => 10 ** value - 1,
};

/**
 * @param {Kind} kind
 * @param {[number, number]} range values
 * @param {[number, number]} pixels where the range's ends lie
 */
export function makeScale(kind, range, pixels) {
  const [low, high] = range.map(FORWARD[kind]);
  const slope = (pixels[1] - pixels[0]) / (high - low || 1);
  const scale = (value) => pixels[0] + (FORWARD[kind](value) - low) * slope;
  scale.invert = (pixel) => BACKWARD[kind](low + (pixel - pixels[0]) / slope);
  scale.ticks = (count) => ticks(kind, range, count);
  return scale;
}

/** About `count` round values inside the range. */
export function ticks(kind, [low, high], count) {
  if (kind === "linear") return linearTicks(low, high, count);
  const powers = powersBetween(kind === "log1p" ? 1 : low, high, count);
  return kind === "log1p" ? [0, ...powers] : powers;
}

function linearTicks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const first = Math.ceil(low / step - 1e-9);
  const length = Math.max(0, Math.floor(high / step + 1e-9) - first + 1);
  return Array.from({ length }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

function powersBetween(low, high, count) {
  const first = Math.ceil(Math.log10(low) - 1e-9);
  const last = Math.floor(Math.log10(high) + 1e-9);
  const stride = Math.max(1, Math.ceil((last - first + 1) / count));
  const powers = [];
  for (let power = Math.ceil(first / stride) * stride; power <= last; power += stride) powers.push(10 ** power);
  return powers.length > 1 || last < first ? powers : [...new Set([10 ** first, ...powers])];
}

const DIGITS = 5;
const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** A tick's text: `0.01`, `−2,000`, `10⁻⁵`. */
export function tickText(value) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (value < 0) return `−${tickText(size)}`;
  if (size >= 0.001 && size < 1e5) return grouped(value);
  const power = Math.floor(Math.log10(size) + 1e-9);
  const factor = Number((value / 10 ** power).toPrecision(4));
  const ten = `10${[...String(power)].map((sign) => RAISED[sign]).join("")}`;
  return factor === 1 ? ten : `${factor}·${ten}`;
}

/** A reading's text, five significant digits: `0.012346`, `1.2346e-30`; a dash for what has no value. */
export function readingText(value) {
  if (Number.isNaN(value)) return "–";
  if (value < 0) return `−${readingText(-value)}`;
  if (!Number.isFinite(value)) return "∞";
  return value === 0 || (value >= 1e-4 && value < 1e6) ? grouped(value) : shortExponent(value);
}

function shortExponent(value) {
  const [digits, power] = value.toExponential(DIGITS - 1).split("e");
  return `${Number(digits)}e${power.replace("+", "")}`;
}

const FORMAT = new Intl.NumberFormat("en-US", { maximumSignificantDigits: DIGITS });

function grouped(value) {
  return FORMAT.format(Math.abs(value));
}

/** The last index whose value is at most `wanted`; `sorted` rises. */
export function indexAtOrBefore(sorted, wanted) {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (sorted[middle] <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The index whose value is nearest to `wanted`. */
export function nearestIndex(sorted, wanted) {
  const before = indexAtOrBefore(sorted, wanted);
  const after = Math.min(before + 1, sorted.length - 1);
  return wanted - sorted[before] <= sorted[after] - wanted ? before : after;
}
