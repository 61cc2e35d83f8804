// @ts-check
// Which frame is shown. Playing shows sixty frames in a second of what has come; a greater speed leaves out steps.

import { byId, make } from "./dom.js";
import { whole } from "./texts.js";
import { nearestIndex } from "../player/scales.js";

const PACE = 60; // frames a second
const CALM = 0.5; // seconds between pictures where the reader asked for less motion
const REST = 400; // milliseconds until a cursor rests
const HOLD = 120; // milliseconds after a change before more is fetched: under a hand on a slider, it would be for nothing

const part = (name) => byId(`network-${name}`);

/** @param {{draw: (wholly?: boolean) => void, rested: (step: number) => void, goTo: (step: number) => void}} does */
export function makeNetworkClock({ draw, rested, goTo }) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let sources = /** @type {any[]} */ ([]);
  let [index, farthest, place] = [0, 0, 0]; // frames; `place` is exact
  let [playing, chain, before, drawnAt, heldUntil, timer, fetching] = [false, 0, 0, 0, 0, 0, 0];
  part("speed").append(make("option", { value: 16 }, "×16"), make("option", { value: 64 }, "×64"));

  const speed = () => Number(part("speed").value);
  const stride = () => Math.max(1, speed());
  /** The last frame that can be shown; a training that is over waits at its end for the other. */
  function ready() {
    const going = sources.filter((source) => !source.isOver());
    const lengths = (going.length ? going : sources).map(({ columns }) => columns.length);
    return (going.length ? Math.min(...lengths) : Math.max(...lengths)) - 1;
  }
  const steps = () => longest(sources).columns.get("step");
  const step = () => (sources.length ? steps()[index] : 0);

  function show(next, wholly = false) {
    index = next;
    farthest = Math.max(farthest, index);
    if (performance.now() > heldUntil) fetchOn();
    draw(wholly);
    controls();
    clearTimeout(timer);
    if (!playing) timer = setTimeout(() => sources.length && rested(step()), REST);
  }
  function fetchOn() {
    for (const source of sources) source.ahead(index, stride(), playing);
  }
  function controls() {
    part("player").dataset.step = String(step());
    part("player").dataset.playing = String(playing);
    part("scrub").value = String(farthest ? index / farthest : 0);
    part("scrub").setAttribute("aria-valuetext", whole(step()));
    if (document.activeElement !== part("step")) part("step").value = String(step());
    part("play").setAttribute("aria-label", playing ? part("player").dataset.pause : part("player").dataset.play);
  }
  /** Play on: one chain of frames, however often it is asked for. */
  function run() {
    chain += 1;
    const mine = chain;
    const next = (now) => mine === chain && tick(now) && requestAnimationFrame(next);
    requestAnimationFrame(next);
  }
  /** A frame while playing; whether another follows. */
  function tick(now) {
    if (!playing) return false;
    const seconds = Math.min(0.25, Math.max(0, now - before) / 1000);
    before = now;
    place = Math.min(ready(), place + seconds * PACE * Math.min(1, speed()));
    const isLast = sources.every((source) => source.isOver() || isEnded(source)) && Math.floor(place) >= ready();
    if (!part("player").offsetParent) playing = false; // another tab is shown
    if (isLast) playing = false;
    if (!playing || !calm.matches || now - drawnAt > 1000 * CALM) {
      drawnAt = now;
      show(Math.max(0, Math.floor(place)), !playing);
    }
    return playing;
  }
  const isEnded = (source) => source.header().ended !== null && step() > source.header().ended;
  function set(isPlaying) {
    if (isPlaying && sources.length && index === ready() && sources.every((source) => source.isOver())) restart();
    playing = isPlaying;
    [place, before] = [index, performance.now()];
    if (playing) run();
    if (sources.length) show(index, true);
  }
  function restart() {
    [index, farthest] = [0, 0];
    if (step()) goTo(0); // what is known begins later
  }
  /** Stop, and show one frame of those that have come. */
  function moveTo(next) {
    playing = false;
    show(Math.min(ready(), Math.max(0, next)), true);
  }
  const actions = {
    toggle: () => set(!playing),
    step: (by) => moveTo(index + by),
    first() {
      playing = false;
      restart();
      show(0, true);
    },
    last: () => moveTo(farthest),
  };
  const click = (name, action) => part(name).addEventListener("click", action);
  click("first", actions.first);
  click("back", () => actions.step(-1));
  click("play", actions.toggle);
  click("forward", () => actions.step(1));
  click("last", actions.last);
  part("scrub").addEventListener("input", () => moveTo(Math.round(Number(part("scrub").value) * farthest)));
  part("step").addEventListener("change", () => {
    const target = Number(part("step").value);
    const nearest = nearestIndex(steps(), target);
    if (nearest <= ready() && steps()[nearest] === target) moveTo(nearest);
    else {
      playing = false;
      goTo(target);
    }
  });
  part("speed").addEventListener("change", () => {
    for (const source of sources) source.cut(index + 1);
    farthest = index;
    place = index;
    if (sources.length) show(index, true);
  });
  return {
    actions,
    moveTo,
    state: () => ({ index, farthest }),
    isPlaying: () => playing,
    pause: () => playing && set(false),
    /** Play from the start, as soon as frames have come; less motion is asked for: stand still. */
    play(fromStart) {
      if (fromStart) [index, farthest, place] = [0, 0, 0];
      playing = !calm.matches;
    },
    /** Other sources, to stand at their beginning or end. */
    begin(next, isAtEnd) {
      const wasPlaying = playing;
      sources = next;
      const at = isAtEnd ? ready() : 0;
      [index, farthest, place, before] = [at, at, at, performance.now()];
      heldUntil = before + HOLD;
      clearTimeout(fetching);
      fetching = setTimeout(fetchOn, HOLD); // so that the first step on is there
      if (wasPlaying) run();
      controls();
    },
  };
}

/** The training with the most frames. */
export const longest = (sources) => sources.reduce((best, source) => (source.columns.length > best.columns.length ? source : best));
