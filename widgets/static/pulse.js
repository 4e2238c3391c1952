// The pulse of one output cell: while the page shows it, Python hears so, and whether the page is light. Draws nothing.
const EVERY = 4000; // ms

function light() {
  const { jpThemeLight, vscodeThemeKind } = document.body.dataset;
  return jpThemeLight ? jpThemeLight === "true" : vscodeThemeKind ? vscodeThemeKind.includes("light") : null;
}

/** A line to the kernel, to say when the output is gone; JupyterLab has one, other notebooks go by the pulse. */
function line(view) {
  const root = view.model.document?.roots()[0].id;
  const comm = window.PyViz?.kernels?.[root]?.connectToComm?.("potential-studio-cell");
  comm?.open({ root });
  return comm;
}

export function render({ model, view }) {
  const comm = line(view);
  const tell = () => document.hidden || model.send_msg({ type: "here", light: light() });
  const clock = setInterval(tell, EVERY);
  const painted = new MutationObserver(tell);
  painted.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] });
  document.addEventListener("visibilitychange", tell);
  model.on("remove", () => {
    clearInterval(clock);
    painted.disconnect();
    document.removeEventListener("visibilitychange", tell);
    comm?.send({ gone: true });
  });
  tell();
}
