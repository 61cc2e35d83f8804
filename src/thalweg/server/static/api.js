// @ts-check
// Requests to the server. A refusal is thrown with its sentence.

import { readFrame } from "./frames.js";
import { language, t } from "./texts.js";

/** A refusal in the server's words. */
export class Refusal extends Error {}

let reach = (path, query, options) => fetch(`/api/${path}?${new URLSearchParams(query)}`, options);
/** Ask somebody else than the server: a notebook, or what is packed into the page. */
export const reachBy = (other) => (reach = other);

async function ask(path, query, options) {
  let response;
  try {
    response = await reach(path, { ...query, lang: language }, options);
  } catch {
    throw new Refusal(t("js_unreachable"));
  }
  if (response.ok) return response;
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message;
  } catch {
    // no JSON: the status is all there is
  }
  throw new Refusal(message);
}

const sent = (body) => ({ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

export const getJson = async (path, query = {}) => (await ask(path, query, {})).json();
export const postJson = async (path, body, query = {}) => (await ask(path, query, sent(body))).json();
const framed = async (answer) => answer.frame ?? readFrame(await answer.arrayBuffer());
export const getFrame = async (path, query = {}) => framed(await ask(path, query, {}));
export const postFrame = async (path, body) => framed(await ask(path, {}, sent(body)));
export const postFile = async (path, query, file) => (await ask(path, query, { method: "POST", body: file })).json();

/** The address of a picture that the server draws. */
export const pictureAddress = (path, query) => `/api/${path}?${new URLSearchParams({ ...query, lang: language })}`;

/**
 * Run one at a time: of the calls that come meanwhile, only the last is run.
 * @param {() => Promise<void>} work
 */
export function newestOnly(work) {
  let busy = false;
  let again = false;
  return async function run() {
    if (busy) {
      again = true;
      return;
    }
    busy = true;
    try {
      await work();
    } finally {
      busy = false;
    }
    if (again) {
      again = false;
      await run();
    }
  };
}
