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

/** What came from Python is not told back to it: Panel's manager does, and a wish of the user would wait behind the echo. */
function hush(view) {
  const root = view.model.document?.roots()[0].id;
  for (const manager of window.PyViz?.shared_views?.get(root) ?? []) {
    if (manager.hushed) continue;
    manager.hushed = true;
    const changed = manager._document_changed.bind(manager);
    manager._document_changed = (event) => event.sync === false || changed(event);
  }
}

export function render({ model, view }) {
  const comm = line(view);
  hush(view);
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
