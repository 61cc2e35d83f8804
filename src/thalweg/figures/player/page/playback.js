// @ts-check
// Time: which kept step is shown. Playing runs evenly along the step axis, whole in twelve seconds at speed 1.

import { indexAtOrBefore, makeScale } from "./scales.js";

const WHOLE = 12; // seconds
const CALM = 0.5; // seconds between pictures where the reader asked for less motion

/** Where each kept step lies on the step axis, from 0 to 1, as on the charts. */
export function makeTimeline(scene) {
  let places = new Float64Array(0);
  const timeline = {
    at: (index) => places[index],
    indexAt: (place) => indexAtOrBefore(places, place + 1e-12),
    /** To be called when the scene has other steps. */
    measure() {
      const { steps, stepAxis } = scene;
      places = Float64Array.from(steps, makeScale(stepAxis.kind, [0, steps[steps.length - 1] || 1], [0, 1]));
    },
  };
  timeline.measure();
  return timeline;
}

/** @param {ReturnType<typeof makeTimeline>} timeline */
export function makePlayback(store, timeline, scene) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  let from = 0;
  let since = 0;
  const begin = () => {
    from = timeline.at(store.get().index);
    since = performance.now();
  };

  const tick = (now) => {
    const { playing, speed, index } = store.get();
    if (!playing) return;
    let seconds = Math.max(0, now - since) / 1000;
    if (calm.matches) seconds = Math.floor(seconds / CALM) * CALM;
    const next = timeline.indexAt(Math.min(1, from + (seconds * speed) / WHOLE));
    const done = next === scene.steps.length - 1;
    if (next !== index || done) store.set({ index: next, playing: !done });
    if (!done) requestAnimationFrame(tick);
  };
  const start = () => {
    if (store.get().index === scene.steps.length - 1) store.set({ index: 0 });
    begin();
    store.set({ playing: true });
    requestAnimationFrame(tick);
  };

  return {
    toggle: () => (store.get().playing ? store.set({ playing: false }) : start()),
    /** Stop, and show one kept step. */
    moveTo: (index) => store.set({ playing: false, index: Math.min(scene.steps.length - 1, Math.max(0, index)) }),
    setSpeed(speed) {
      store.set({ speed });
      begin();
    },
  };
}
