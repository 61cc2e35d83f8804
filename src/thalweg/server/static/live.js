// @ts-check
// The socket: which runs are followed, their new rows, and the listing of the folder. After a break, all rows of the
// followed runs come again.

import { readFrame } from "./frames.js";
import { byId } from "./dom.js";
import { language, t } from "./texts.js";

export const STREAMS = ["steps", "epochs", "processes"];
const AGAIN = 1000; // milliseconds between two attempts to reach the server

/**
 * The columns of one history, growing without being copied at every increment.
 */
export class Columns {
  constructor() {
    this.length = 0;
    /** Steps that a pair of rows stands for, its lowest and highest values; 1: the rows are the history's own. */
    this.per = 1;
    /** @type {Record<string, Float64Array>} */
    this.columns = {};
  }

  /** Put rows after the first `first`, in place of all that followed. */
  put(first, arrays) {
    const count = Object.values(arrays)[0]?.length ?? 0;
    for (const [name, values] of Object.entries(arrays)) {
      let column = this.columns[name] ?? new Float64Array(1024);
      if (first + count > column.length) {
        const grown = new Float64Array(Math.max(2 * column.length, first + count));
        grown.set(column.subarray(0, first));
        column = grown;
      }
      column.set(values, first);
      this.columns[name] = column;
    }
    this.length = first + count;
  }

  /** A column's values so far, not a copy. */
  get(name) {
    return (this.columns[name] ?? new Float64Array(0)).subarray(0, this.length);
  }
}

/**
 * @param {{listing: (listing: any) => void, rows: (run: string, stream: string, header: any) => void}} listener
 */
export function connect(listener) {
  let socket = null;
  let followed = [];
  /** @type {Map<string, Record<string, Columns>>} */
  const histories = new Map();

  function open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    socket = new WebSocket(`${scheme}://${location.host}/api/live?lang=${language}`);
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => {
      state("live");
      histories.clear(); // a file that was cut and written again meanwhile would go unnoticed
      follow(followed);
    });
    socket.addEventListener("message", ({ data }) => (typeof data === "string" ? takeMessage(JSON.parse(data)) : take(readFrame(data))));
    socket.addEventListener("close", () => {
      state("lost");
      setTimeout(open, AGAIN);
    });
  }
  function takeMessage(message) {
    if (message.runs) listener.listing(message);
  }
  function take({ header: { run, stream, first, ...header }, arrays }) {
    const rows = histories.get(run)?.[stream];
    if (!rows || first > rows.length) return; // it came too late: the run is no longer followed
    rows.per = header.per;
    rows.put(first, arrays);
    listener.rows(run, stream, header);
  }
  function historyOf(run) {
    if (!histories.has(run)) histories.set(run, Object.fromEntries(STREAMS.map((stream) => [stream, new Columns()])));
    return histories.get(run);
  }
  function state(name) {
    byId("link").hidden = name === "live";
    byId("link").dataset.state = name;
    byId("link").textContent = name === "live" ? "" : t("js_lost");
    document.documentElement.dataset.link = name;
  }
  function follow(runs) {
    followed = runs;
    for (const name of [...histories.keys()]) if (!runs.includes(name)) histories.delete(name);
    if (socket?.readyState !== WebSocket.OPEN) return;
    const known = runs.map((run) => {
      const history = historyOf(run);
      const rows = STREAMS.map((stream) => [stream, history[stream].length]);
      return [run, { ...Object.fromEntries(rows), steps_per: history.steps.per }];
    });
    socket.send(JSON.stringify({ follow: Object.fromEntries(known) }));
  }
  open();
  return { follow, historyOf };
}
