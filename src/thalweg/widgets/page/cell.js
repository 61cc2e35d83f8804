// A cell of a notebook: the page's tab in a frame that can neither ask another host nor reach the notebook, and a port
// from it to Python.

const isDark = () =>
  document.body.dataset.jpThemeLight === "false" ||
  document.body.matches(".vscode-dark, .dark, .dark-theme") ||
  document.documentElement.matches("[theme=dark], .dark") ||
  (!document.body.dataset.jpThemeLight && !document.body.matches(".vscode-light") && matchMedia("(prefers-color-scheme: dark)").matches);

function render({ model, el }) {
  const frame = document.createElement("iframe");
  const { port1: port, port2 } = new MessageChannel();
  const mine = crypto.getRandomValues(new Uint32Array(2)).join("-"); // of several views of one widget
  frame.setAttribute("sandbox", "allow-scripts");
  frame.title = model.get("_title");
  frame.style.cssText = "width: 100%; height: 900px; border: 0; display: block;";
  port.onmessage = ({ data }) => {
    if (data.height) frame.style.height = `${data.height}px`;
    else model.send({ ...data, view: mine });
  };
  const answer = (message, buffers) => {
    if (message.view && message.view !== mine) return;
    const content = buffers?.[0] && new Uint8Array(buffers[0].buffer, buffers[0].byteOffset, buffers[0].byteLength).slice();
    port.postMessage({ ...message, content }, content ? [content.buffer] : []);
  };
  model.on("msg:custom", answer);
  frame.addEventListener("load", () => frame.contentWindow.postMessage({ theme: isDark() ? "dark" : "light", fields: model.get("_fields") }, "*", [port2]), { once: true });
  frame.srcdoc = model.get("_document");
  el.append(frame);
  return () => {
    model.off("msg:custom", answer);
    port.close();
  };
}

export default { render };
