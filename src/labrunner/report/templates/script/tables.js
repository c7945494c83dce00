// table.sortable: a button in each header cell. th data-sort="number|text" says how, td data-value what by; blanks go last.
// Of one row or two there is nothing to sort or to look for.
{
  const few = 2;
  const words = new Intl.Collator("en", { numeric: true });
  const text = (cell) => (cell?.dataset.value ?? cell?.textContent ?? "").trim();
  const blank = (value) => value === "" || value === "–";
  const number = (value) => Number(value.replace(/[%,\s]/g, "").replace("−", "-"));

  for (const table of document.querySelectorAll("table.sortable")) {
    const bodies = [...table.tBodies].map((body) => [body, [...body.rows]]);
    if (bodies.flatMap(([, rows]) => rows).length <= few) continue;
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const values = bodies.flatMap(([, rows]) => rows.map((row) => text(row.cells[column]))).filter((each) => !blank(each));
      const numbers = (head.dataset.sort ?? (values.every((each) => !Number.isNaN(number(each))) ? "number" : "text")) === "number";
      const compared = (one, other) => {
        if (!numbers) return words.compare(one, other);
        const [a, b] = [number(one), number(other)];
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

  // input.filter data-table="ID": rows that lack one of the words typed are hidden; tr data-section="ID" names what is told
  // of the row elsewhere, which is searched and hidden with it
  for (const input of document.querySelectorAll("input.filter")) {
    const table = document.getElementById(input.dataset.table);
    if (!table) continue;
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    if (rows.length <= few) {
      input.remove();
      continue;
    }
    const said = made("output", { className: "note" });
    input.after(" ", said);
    const look = () => {
      const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) {
        const section = document.getElementById(row.dataset.section ?? "");
        const there = `${row.textContent} ${section?.textContent ?? ""}`.toLowerCase();
        row.hidden = !wanted.every((word) => there.includes(word));
        if (section) section.hidden = row.hidden;
      }
      const left = rows.filter((row) => !row.hidden).length;
      said.textContent = wanted.length ? `${left} of ${rows.length} rows` : "";
    };
    input.addEventListener("input", look);
    look(); // a browser that goes back keeps what was typed
  }
}
