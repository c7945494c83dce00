// What is wider than its box scrolls by the keyboard, too, and is called by what it shows. What fits is no stop on the way.
{
  const headings = [...document.querySelectorAll("h1, h2, h3, h4, summary")];
  const called = (box) => {
    const said = box.querySelector("[aria-label]")?.getAttribute("aria-label") ?? box.parentElement.querySelector(":scope > figcaption")?.textContent;
    const above = headings.filter((each) => each.compareDocumentPosition(box) & Node.DOCUMENT_POSITION_FOLLOWING).at(-1);
    return (said ?? above?.textContent ?? "").replace(/\s+/g, " ").trim();
  };
  const look = (box) => {
    const isWider = box.scrollWidth > box.clientWidth + 1;
    const said = isWider ? { tabindex: "0", role: "region", "aria-label": called(box) } : { tabindex: null, role: null, "aria-label": null };
    Object.entries(said).forEach(([name, value]) => (value === null ? box.removeAttribute(name) : box.setAttribute(name, value)));
  };
  const observer = new ResizeObserver((seen) => seen.forEach(({ target }) => look(target.closest(".scroll, .card"))));
  for (const box of document.querySelectorAll(".scroll, .card")) [box, ...box.children].forEach((each) => observer.observe(each));
}
