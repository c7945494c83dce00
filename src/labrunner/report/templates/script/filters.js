// input.filter data-table="ID": rows that do not fit every word typed are hidden. A word fits a row that has a cell of which
// a word begins so, a number one that is that number; column=value asks of one column (also != < > <= >=), and of a table of
// keys, and in settings that a cell spells out, key=value does. tr data-section="ID" names what is told of the row elsewhere,
// which is searched and hidden with it.
{
  const HELP =
    "A row has to fit every word. A word is the beginning of one in the row, a number a whole cell. column=value looks in one " +
    "column, also with != < > <= >=, by its name as the table shows it; quotes stand around a value with blanks.";
  const plain = (text) => text.toLowerCase().replace(/\s+/g, " ").trim();
  const name = (text) => plain(text).replace(/[\s_]/g, "");
  const names = (text) => [name(text), name(text.split(".").at(-1)), name(text.split(",")[0])];
  const typed = (text) => [...text.matchAll(/(?:"[^"]*"?|[^\s"])+/g)].map(([word]) => word.replaceAll('"', ""));

  // outside of quotes: no blanks around a sign, and _ for those in the name of a column before one, of the longest that fits
  const joined = (text, columns) => {
    const outside = (part) => {
      let tight = part.replace(/\s*(!=|<=|>=|=|<|>)\s*/g, "$1");
      for (const column of columns.filter((each) => each.includes(" ")).sort((one, other) => other.length - one.length)) {
        for (const sign of "=<>!") {
          const [long, short] = [` ${column}${sign}`, ` ${column.replaceAll(" ", "_")}${sign}`];
          tight = ` ${tight}`.replaceAll(long, short).slice(1);
        }
      }
      return tight;
    };
    return text.split(/("[^"]*"?)/).map((part, at) => (at % 2 ? part : outside(part))).join("");
  };

  // whether a text has a word that begins so, or is so
  const has = (text, word, whole) => {
    const quoted = word.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
    const begin = /^[\p{L}\p{N}]/u.test(word) ? "(?<![\\p{L}\\p{N}]|\\d\\.)" : "";
    return new RegExp(begin + quoted + (whole ? "(?![\\p{L}\\p{N}]|\\.\\d)" : ""), "u").test(text);
  };

  // a number that was typed, against one of a cell; of shares 95 means what 95% does, since none is more than one
  const pair = (one, text) => {
    const [cell, asked] = [numberIn(one), numberIn(text)];
    return [cell, one.includes("%") && !text.includes("%") && asked > 1 ? asked / 100 : asked];
  };
  const equal = (one, other) => Math.abs(one - other) <= 1e-9 * Math.max(Math.abs(one), Math.abs(other));
  const relations = {
    "=": (cell, text) => cell === text || equal(...pair(cell, text)),
    "!=": (cell, text) => !relations["="](cell, text),
    "<": (cell, text) => ((one, other) => one < other)(...pair(cell, text)),
    ">": (cell, text) => ((one, other) => one > other)(...pair(cell, text)),
    "<=": (cell, text) => relations["<"](cell, text) || relations["="](cell, text),
    ">=": (cell, text) => relations[">"](cell, text) || relations["="](cell, text),
  };

  // what can be asked of a table, by a number of its first row
  const example = (heads, rows, isKeys) => {
    const of = (at) => rows.map(({ cells }) => cells[at]?.[0] ?? "");
    const column = isKeys ? 1 : heads.findIndex((_, at) => at && of(at).some((each) => !Number.isNaN(numberIn(each))));
    const row = of(column).findIndex((each) => !Number.isNaN(numberIn(each)));
    return row < 0 ? "" : `: words, or ${isKeys ? of(0)[row] : heads[column].shown}=${of(column)[row]}`;
  };

  for (const input of document.querySelectorAll("input.filter")) {
    const table = document.getElementById(input.dataset.table);
    if (!table) continue;
    const isKeys = table.classList.contains("settings");
    const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells].map((head) =>
      Object.assign(names(head.textContent), { label: plain(head.textContent), shown: plain(head.textContent).split(",")[0].replaceAll(" ", "_") }),
    );
    const labels = heads.flatMap(({ label }) => [label, label.split(",")[0]]);
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]).map((row) => {
      const section = document.getElementById(row.dataset.section ?? "");
      const cells = [...row.cells].map((cell) => {
        const said = [cell.textContent, cell.dataset.value ?? "", cell.querySelector("code")?.textContent ?? ""];
        return [...new Set(said.map(plain))].filter(Boolean);
      });
      const settings = [...cells.flat().join(" ").matchAll(/([^\s,;=]+)=([^\s,;=]+)/g)].map(([, key, value]) => [names(key), plain(value)]);
      if (isKeys) cells.slice(1, 2).flat().forEach((each) => settings.push([names(row.cells[0].textContent), each]));
      return { row, section, cells, settings, texts: [...cells.flat(), plain(section?.textContent ?? "")] };
    });
    if (rows.length <= FEW_ROWS) {
      input.remove();
      continue;
    }

    const fits = (word) => {
      const [, left, sign, value] = word.match(/^([^=<>!]+)(!=|<=|>=|=|<|>)(.*)$/) ?? [];
      if (sign && value === "") return () => true; // not typed to its end yet
      if (sign) {
        const asked = name(left);
        const exact = heads.findIndex((each) => each[0] === asked);
        const column = exact < 0 ? heads.findIndex((each) => each.includes(asked)) : exact;
        const compared = (cell) => relations[sign](cell, value);
        // what a cell carries beside its text is the same value with more digits
        const all = sign === "!=" ? "every" : "some";
        if (column >= 0) return ({ cells }) => cells[column]?.[all](compared);
        const known = ([key]) => key.includes(asked);
        if (rows.some(({ settings }) => settings.some(known))) {
          return ({ settings }) => settings.some((each) => known(each) && compared(each[1]));
        }
      }
      const number = !Number.isNaN(numberIn(word));
      const found = ({ texts }) => texts.some((text) => (number && relations["="](text, word)) || has(text, word, number));
      return Object.assign(found, { missing: sign && left });
    };

    const columns = heads.map(({ label }) => label.split(",")[0]).filter(Boolean).join(", ");
    const said = made("output", { className: "note", ariaLive: "polite" });
    said.htmlFor.add(input.id ||= `filter-${table.id}`);
    input.title = HELP;
    input.after(" ", said);
    const look = () => {
      const words = typed(joined(plain(input.value), labels)).map(fits);
      for (const { row, section, ...all } of rows) {
        row.hidden = !words.every((fit) => fit(all));
        if (section) section.hidden = row.hidden;
      }
      const left = rows.filter(({ row }) => !row.hidden).length;
      const missing = left ? undefined : words.find((fit) => fit.missing)?.missing;
      said.textContent = !words.length ? "" : `${left || "no"} of ${rows.length} rows${missing ? `: there is no column ${missing}, but ${columns}` : ""}`;
    };
    input.placeholder += example(heads, rows, isKeys);
    input.addEventListener("input", look);
    look(); // a browser that goes back keeps what was typed
  }
}
