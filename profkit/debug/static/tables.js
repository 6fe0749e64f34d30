"use strict";
// Tables of records: a click on a heading sorts by it, long ones can be filtered. What was chosen outlives a refresh.
(() => {
  const LONG = 8; // rows from which on a table has a filter
  const chosen = new Map();
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  function enhance() {
    const seen = new Map();
    for (const table of document.querySelectorAll("table.records")) {
      const headings = [...table.tHead?.rows[0]?.cells ?? []];
      const rows = [...table.tBodies[0]?.rows ?? []];
      const named = headings.map((cell) => cell.textContent.trim()).join("|");
      const number = seen.get(named) ?? 0;
      seen.set(named, number + 1);
      if (table.dataset.ready || rows.length < 2) continue;
      table.dataset.ready = "true";
      const key = `${named}#${number}`;
      const state = chosen.get(key) ?? { column: -1, descending: false, filter: "" };
      chosen.set(key, state);
      sortable(table, headings, rows, state);
      if (rows.length >= LONG || state.filter) filterable(table, rows, state, key);
    }
  }

  function valueOf(row, column) {
    const cell = row.cells[column];
    if (!cell) return "";
    const exact = cell.dataset.value ?? cell.querySelector("[data-value]")?.dataset.value;
    if (exact !== undefined) return exact;
    const text = cell.textContent.trim(), plain = text.replaceAll(",", ""); // thousands are apart
    return isNumber(plain) ? plain : text;
  }

  const isNumber = (text) => text !== "" && Number.isFinite(Number(text));
  const isNothing = (text) => text === "" || text === "–" || text === "-";

  function sortable(table, headings, rows, state) {
    const body = table.tBodies[0];
    const buttons = headings.map((heading, column) => {
      if (!heading.textContent.trim() || "plain" in heading.dataset) return null; // of buttons
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const values = rows.map((row) => valueOf(row, column)).filter((text) => !isNothing(text));
        const numbers = values.length > 0 && values.every(isNumber);
        // Numbers the largest first, text from a to z; then the other way round, then as it was.
        if (state.column !== column) Object.assign(state, { column, descending: numbers, turned: false });
        else if (!state.turned) Object.assign(state, { descending: !state.descending, turned: true });
        else Object.assign(state, { column: -1, turned: false });
        apply();
      });
      return button;
    });

    function apply() {
      headings.forEach((heading, column) => {
        if (!buttons[column]) return;
        const order = state.descending ? "descending" : "ascending";
        heading.setAttribute("aria-sort", column === state.column ? order : "none");
      });
      body.append(...(state.column < 0 ? rows : sorted()));
    }

    function sorted() {
      const values = new Map(rows.map((row) => [row, valueOf(row, state.column)]));
      const known = [...values.values()].filter((text) => !isNothing(text));
      const numbers = known.every(isNumber);
      const sign = state.descending ? -1 : 1;
      return [...rows].sort((one, other) => {
        const [left, right] = [values.get(one), values.get(other)];
        if (isNothing(left) || isNothing(right)) return isNothing(left) - isNothing(right); // always last
        return sign * (numbers ? Number(left) - Number(right) : collator.compare(left, right));
      });
    }

    apply();
  }

  function filterable(table, rows, state, key) {
    const label = document.createElement("label"), input = document.createElement("input");
    const said = document.createElement("span"), line = document.createElement("p");
    const name = table.closest("section")?.querySelector("h2")?.textContent.trim() ?? "";
    line.className = "filter";
    input.type = "search";
    input.autocomplete = "off";
    input.spellcheck = false;
    input.dataset.keep = key; // a refresh gives the focus back by it
    input.setAttribute("aria-label", `Show only rows with this text: ${name}`);
    input.value = state.filter;
    label.append("Filter ", input);
    said.setAttribute("role", "status");
    line.append(label, said);
    (table.closest(".wide") ?? table).before(line);
    const texts = rows.map((row) => row.textContent.toLowerCase());

    function apply() {
      const words = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, index) => {
        row.hidden = !words.every((word) => texts[index].includes(word));
        shown += row.hidden ? 0 : 1;
      });
      said.textContent = words.length ? `${shown} of ${rows.length}` : "";
    }

    // In a form Enter would press its first button.
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
    input.addEventListener("input", () => {
      state.filter = input.value;
      apply();
    });
    apply();
  }

  // What has to be scrolled sideways is reached by the keyboard: by what is in it, or by itself, as not every browser has it.
  function reachable() {
    for (const box of document.querySelectorAll("main .wide, main section")) {
      const inside = box.querySelector("a[href], button, input:not([type=hidden]), select, summary");
      if (box.scrollWidth > box.clientWidth && !inside) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  }

  function shown() {
    enhance();
    reachable();
  }

  document.addEventListener("profkit:shown", shown);
  addEventListener("resize", reachable);
  addEventListener("load", reachable); // with the stylesheet
  shown();
})();
