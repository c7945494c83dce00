// table.sortable: a button in each header cell. th data-sort="number|text" says how, td data-value what by; blanks go last.
{
  const words = new Intl.Collator("en", { numeric: true });
  const text = (cell) => (cell?.dataset.value ?? cell?.textContent ?? "").trim();
  const blank = (value) => value === "" || value === "–";

  for (const table of document.querySelectorAll("table.sortable")) {
    const bodies = [...table.tBodies].map((body) => [body, [...body.rows]]);
    if (bodies.flatMap(([, rows]) => rows).length <= FEW_ROWS) continue;
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const values = bodies.flatMap(([, rows]) => rows.map((row) => text(row.cells[column]))).filter((each) => !blank(each));
      const numbers = (head.dataset.sort ?? (values.every((each) => !Number.isNaN(numberIn(each))) ? "number" : "text")) === "number";
      const compared = (one, other) => {
        if (!numbers) return words.compare(one, other);
        const [a, b] = [numberIn(one), numberIn(other)];
        return Number.isNaN(a) || Number.isNaN(b) ? Number.isNaN(a) - Number.isNaN(b) : a - b;
      };
      const button = made("button", { type: "button", className: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: null }[head.getAttribute("aria-sort")];
        const order = next === undefined ? "ascending" : next;
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        if (order) head.setAttribute("aria-sort", order);
        for (const [body, rows] of bodies) {
          const keyed = rows.map((row) => [text(row.cells[column]), row]);
          if (order) {
            keyed.sort(([one], [other]) => {
              if (blank(one) || blank(other)) return blank(one) - blank(other);
              return order === "ascending" ? compared(one, other) : compared(other, one);
            });
          }
          body.append(...keyed.map(([, row]) => row));
        }
      });
    });
  }
}
