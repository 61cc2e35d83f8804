// The search of the documentation runs in a worker. A page that is opened as a file may start none: then the worker's
// script runs in a hidden frame, which answers to the same calls.
if (location.protocol === "file:") {
  window.IFrameWorker = class extends EventTarget {
    onmessage = null;

    constructor(url) {
      super();
      const frame = document.body.appendChild(Object.assign(document.createElement("iframe"), { hidden: true }));
      this.inner = frame.contentWindow;
      const run = (src) =>
        new Promise((loaded, failed) => {
          const script = this.inner.document.createElement("script");
          Object.assign(script, { src: new URL(src, location), onload: loaded, onerror: failed });
          this.inner.document.body.append(script);
        });
      this.inner.postMessage = (data) => {
        const message = new MessageEvent("message", { data });
        this.onmessage?.(message);
        this.dispatchEvent(message);
      };
      this.inner.importScripts = (...names) => names.reduce((before, name) => before.then(() => run(name)), Promise.resolve());
      this.ready = run(url);
    }

    postMessage(data) {
      this.ready.then(() => this.inner.dispatchEvent(new this.inner.MessageEvent("message", { data })));
    }

    terminate() {
      this.inner.frameElement.remove();
    }
  };
  window.Worker = window.IFrameWorker;
}
