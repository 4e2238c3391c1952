// A file from the user's disk: a native file field that hands the bytes on in pieces, and refuses what is too large before it travels.
//
// Messages out: {name, index, total, data: ArrayBuffer} for each piece | {name, refused: megabytes}

const PIECE = 1 << 20;

async function send(model, file) {
  const megabytes = file.size / 1e6;
  if (megabytes > model.megabytes) return model.send_msg({ name: file.name, refused: megabytes });
  const total = Math.max(1, Math.ceil(file.size / PIECE));
  for (let index = 0; index < total; index += 1) {
    const data = await file.slice(index * PIECE, (index + 1) * PIECE).arrayBuffer();
    model.send_msg({ name: file.name, index, total, data });
  }
}

export function render({ model, el }) {
  const [label, text, hint, input] = ["label", "span", "small", "input"].map((tag) => document.createElement(tag));
  Object.assign(label, { className: "drop" });
  Object.assign(text, { textContent: model.label });
  Object.assign(hint, { textContent: model.hint });
  Object.assign(input, { type: "file", accept: model.accept });
  label.append(input, text, hint);
  el.replaceChildren(label);
  const take = (files) => files.length && send(model, files[0]);
  const mark = (over) => label.classList.toggle("over", over);
  input.addEventListener("change", async () => {
    await take(input.files);
    input.value = ""; // the same file may be chosen again
  });
  label.addEventListener("dragover", (event) => (event.preventDefault(), mark(true)));
  label.addEventListener("dragleave", () => mark(false));
  label.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    take(event.dataTransfer.files);
  });
}
