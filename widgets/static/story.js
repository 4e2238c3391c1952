// What was done to the molecule, a list of sentences with their ways back. It knows words and must not know chemistry.
//
//   properties in   deeds [{sentence, action, reason, undone}]; title
//   message out     {type: "undo", deed}: the number of the deed whose button was pressed

const NOTHING = "Nothing: it was taken as it came.";

function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

function row(deed, press) {
  const text = make("p", {}, ...(deed.undone ? [make("b", { textContent: "Undone: " })] : []), deed.sentence);
  if (deed.reason) text.append(make("small", { textContent: deed.reason }));
  const button = deed.action && make("button", { type: "button", textContent: deed.action, title: "Builds the system again, this way." });
  button && button.addEventListener("click", press);
  return make("li", { className: deed.undone ? "undone" : "" }, text, ...(button ? [button] : []));
}

export function render({ model, el }) {
  const list = make("ul", { className: "deeds" });
  const heading = make("h3", { className: "sub" });
  const empty = make("p", { className: "hint", textContent: NOTHING });
  el.replaceChildren(make("section", { ariaLabel: "What was done" }, heading, empty, list));
  const draw = () => {
    heading.textContent = model.title;
    heading.hidden = !model.title;
    empty.hidden = !model.title || model.deeds.length > 0;
    list.replaceChildren(...model.deeds.map((deed, number) => row(deed, () => model.send_msg({ type: "undo", deed: number }))));
  };
  for (const name of ["deeds", "title"]) model.on(name, draw);
  draw();
}
