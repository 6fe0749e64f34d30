"use strict";
// The ranking, or the table of changes: rows open their evidence, are sorted by a column and found by words. A row and its evidence are one
// body of the table. Without this script all of it is open.
(() => {
  const table = document.getElementById("ranking");
  if (!table) return;
  const search = document.getElementById("ranking-search"), found = document.getElementById("ranking-found");
  const all = document.getElementById("ranking-open");
  const bodies = [...table.tBodies];
  for (const one of document.querySelectorAll("[data-scripted]")) one.hidden = false;
  table.classList.add("scripted");

  function open(body, wanted) {
    body.classList.toggle("open", wanted);
    body.querySelector(".row button").setAttribute("aria-expanded", wanted);
    all.textContent = bodies.every((one) => one.classList.contains("open")) ? "Close all" : "Open all";
  }

  for (const body of bodies) {
    const button = document.createElement("button");
    const [cell, operation] = body.rows[0].cells;
    button.type = "button";
    button.textContent = cell.textContent;
    button.setAttribute("aria-label", `${cell.textContent}, ${operation.textContent}: evidence`);
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", body.rows[1].id);
    cell.replaceChildren(button);
    body.rows[0].addEventListener("click", (event) => {
      if (event.target.closest("button") || !getSelection().toString()) open(body, !body.classList.contains("open"));
    });
  }
  all.addEventListener("click", () => {
    const wanted = !bodies.every((one) => one.classList.contains("open"));
    for (const body of bodies) open(body, wanted);
  });

  // Figures are sorted by their values, the greatest first; names by letter.
  const heads = [...table.tHead.rows[0].cells];
  const valueAt = (body, column) => {
    const cell = body.rows[0].cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  const compared = (one, other) => typeof one === "number" ? one - other : one.localeCompare(other, "en");

  function sort(column) {
    const head = heads[column], before = head.getAttribute("aria-sort");
    const figures = typeof valueAt(bodies[0], column) === "number" && column > 0;
    const ascending = before ? before === "descending" : !figures;
    for (const one of heads) one.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const sign = ascending ? 1 : -1;
    const sorted = [...bodies].sort((one, other) =>
      sign * compared(valueAt(one, column), valueAt(other, column)) || one.dataset.rank - other.dataset.rank);
    table.append(...sorted);
  }

  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(column));
    head.replaceChildren(button);
  });
  heads[0].setAttribute("aria-sort", "ascending");

  const searched = (body) => [...body.rows[0].cells].filter((cell) => cell.dataset.value === undefined);
  const texts = bodies.map((body) => searched(body).map((cell) => cell.textContent).join("\n").toLowerCase());
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    bodies.forEach((body, index) => {
      body.hidden = !words.every((word) => texts[index].includes(word));
      shown += !body.hidden;
    });
    found.textContent = words.length ? `${shown} of ${bodies.length} rows` : "";
  });
})();
