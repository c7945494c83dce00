// figure.plot: the values of the epoch under the pointer, as they stand in the table of epochs, in all plots at once
for (const table of document.querySelectorAll("table.epochs")) {
  const columns = [...table.tHead.rows[0].cells].map((head) => head.dataset.column);
  const shown = (row) => [...row.cells].map((cell) => cell.querySelector("[data-src]"));
  const rows = [...table.tBodies[0].rows].map((row) => Object.fromEntries(shown(row).map((each, at) => [columns[at], each])));
  const epochs = rows.map((row) => Number(row.epoch.textContent));
  const marked = [...table.tBodies[0].rows].findIndex((row) => row.classList.contains("chosen"));
  const home = marked < 0 ? rows.length - 1 : marked;
  let now = home;

  const plots = [...document.querySelectorAll("figure.plot")].filter((plot) => plot.dataset.table === table.id).map((plot) => {
    const svg = plot.querySelector("svg");
    const numbers = (text) => text.split(" ").map(Number);
    const [left, right, first, last] = numbers(svg.dataset.x);
    const [bottom, top, low, high] = numbers(svg.dataset.y);
    const scaled = "log" in svg.dataset ? Math.log10 : (value) => value;
    const x = (epoch) => left + (last > first ? (epoch - first) / (last - first) : 0.5) * (right - left);
    const y = (value) => bottom + ((scaled(value) - scaled(low)) / (scaled(high) - scaled(low))) * (top - bottom);
    const drawn = (tag, className) => {
      const element = svg.appendChild(document.createElementNS(svg.namespaceURI, tag));
      element.setAttribute("class", className);
      return element;
    };
    const place = (element, where) => Object.entries(where).forEach(([name, value]) => element.setAttribute(name, value));
    const cross = drawn("line", "cross");
    const keys = [...plot.querySelectorAll(".key")].map((key) => ({
      column: key.dataset.column,
      text: key.querySelector("[data-src]"),
      dot: drawn("circle", `dot ${key.className}`),
    }));
    const epoch = plot.querySelector(".at [data-src]");
    const why = plot.querySelector(".why");

    return {
      svg,
      nearest(clientX) {
        const seen = svg.getBoundingClientRect();
        const at = ((clientX - seen.left) / seen.width) * svg.viewBox.baseVal.width;
        return epochs.reduce((best, each, index) => (Math.abs(x(each) - at) < Math.abs(x(epochs[best]) - at) ? index : best), 0);
      },
      show(index) {
        const row = rows[index];
        const said = [epoch, ...keys.map((key) => key.text)];
        [row.epoch, ...keys.map((key) => row[key.column])].forEach((from, at) => {
          said[at].textContent = from.textContent;
          said[at].dataset.src = from.dataset.src;
        });
        if (why) why.hidden = index !== home;
        place(cross, { x1: x(epochs[index]), x2: x(epochs[index]), y1: top, y2: bottom });
        for (const { column, dot } of keys) {
          const text = row[column].textContent;
          const value = text.endsWith("%") ? parseFloat(text) / 100 : Number(text);
          dot.style.display = Number.isFinite(value) && Number.isFinite(y(value)) ? "" : "none";
          if (dot.style.display === "") place(dot, { cx: x(epochs[index]), cy: y(value), r: 4 });
        }
        svg.setAttribute("aria-valuenow", epochs[index]);
        svg.setAttribute("aria-valuetext", plot.querySelector(".readout").textContent.replace(/\s+/g, " ").trim());
      },
    };
  });

  const show = (index) => {
    now = Math.max(0, Math.min(rows.length - 1, index));
    plots.forEach((plot) => plot.show(now));
  };
  for (const { svg, nearest } of plots) {
    const said = { role: "slider", tabindex: "0", "aria-valuemin": epochs[0], "aria-valuemax": epochs[epochs.length - 1] };
    Object.entries(said).forEach(([name, value]) => svg.setAttribute(name, value));
    for (const kind of ["pointermove", "pointerdown"]) svg.addEventListener(kind, (event) => show(nearest(event.clientX)));
    svg.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && show(home));
    svg.addEventListener("keydown", (event) => {
      const to = { ArrowLeft: now - 1, ArrowRight: now + 1, PageUp: now - 10, PageDown: now + 10, Home: 0, End: rows.length - 1, Escape: home };
      if (!(event.key in to)) return;
      event.preventDefault();
      show(to[event.key]);
    });
  }
  if (plots.length) show(home);
}
