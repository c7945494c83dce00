// pre.command: a button that copies what stands there
for (const block of document.querySelectorAll("pre.command")) {
  const button = made("button", { type: "button", className: "copy", textContent: "copy" });
  const said = (text) => {
    button.textContent = text;
    setTimeout(() => (button.textContent = "copy"), 2000);
  };
  button.addEventListener("click", () => {
    getSelection().selectAllChildren(block); // to be copied by hand where a browser does not allow it
    const copied = navigator.clipboard?.writeText(block.textContent) ?? Promise.reject();
    copied.then(() => said("copied"), () => said(document.execCommand("copy") ? "copied" : "selected"));
  });
  const frame = made("div", { className: "copied" });
  block.replaceWith(frame);
  frame.append(block, button);
}
