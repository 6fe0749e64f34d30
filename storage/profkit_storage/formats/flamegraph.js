"use strict";
// Draws the boxes of a flame graph (see flamegraph.py for the data's form): zoom, search, details, keyboard.
// Everything written is text or a number; nothing in the data ever becomes markup.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const ROW = 20, NARROW = 1.5, MARGIN = 7, PAUSE = 80;
  const CALLERS = 60, CALLED = 500; // rows drawn above and below what is zoomed into
  const SHADED = new Set(["waiting", "starved", "held", "gc"]);
  const RUNTIME = new Set(["starved", "held", "gc"]);

  const element = (id) => document.getElementById(id);
  const data = JSON.parse(element("flame-data").textContent);
  const graph = element("flame-graph"), details = element("flame-details");
  const search = element("flame-search"), found = element("flame-found"), reset = element("flame-reset");
  const { texts, boxes, states } = data;
  const count = boxes.parent.length;

  // The tree. Boxes come callers first and a subtree at a time, so the one of box i is [i, end[i]).
  const own = Array.from({ length: count }, () => null);
  const held = new Map(), marks = new Map();
  const total = new Float64Array(count), left = new Float64Array(count), free = new Float64Array(count);
  const depth = new Int32Array(count), end = new Int32Array(count);
  const first = new Int32Array(count).fill(-1), next = new Int32Array(count).fill(-1);
  const previous = new Int32Array(count).fill(-1), last = new Int32Array(count).fill(-1);
  const place = new Int32Array(count), children = new Int32Array(count);

  const grouped = (rows, into) => {
    for (const [box, ...row] of rows) into.has(box) ? into.get(box).push(row) : into.set(box, [row]);
  };
  grouped(data.held, held);
  grouped(data.marks, marks);
  for (const [box, state, seconds] of data.own) {
    (own[box] ??= []).push([states[state], seconds]);
    total[box] += seconds;
  }
  for (const list of own) list?.sort((one, other) => states.indexOf(one[0]) - states.indexOf(other[0]));
  for (let box = count - 1; box >= 0; box--) {
    end[box] = Math.max(end[box], box + 1);
    const parent = boxes.parent[box];
    if (parent >= 0) {
      total[parent] += total[box];
      end[parent] = Math.max(end[parent], end[box]);
    }
  }
  for (let box = 1; box < count; box++) {
    const parent = boxes.parent[box];
    depth[box] = depth[parent] + 1;
    left[box] = free[box] = free[parent];
    free[parent] += total[box];
    place[box] = ++children[parent];
    previous[box] = last[parent];
    if (last[parent] >= 0) next[last[parent]] = box; else first[parent] = box;
    last[parent] = box;
  }

  const name = (box) => texts[boxes.name[box]];
  const module = (box) => texts[boxes.module[box]];
  const inSeconds = (value) => value >= 1
    ? `${value.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })} s`
    : `${Number((value * 1000).toPrecision(3))} ms`;
  const share = (value, whole) => whole > 0 ? `${(100 * value / whole).toFixed(1)} %` : "";
  const counted = (value, noun) => `${value.toLocaleString("en")} ${noun}${value === 1 ? "" : "s"}`;
  const ownOf = (box) => (own[box] ?? []).reduce((sum, [, seconds]) => sum + seconds, 0);

  function described(box) {
    const said = [name(box)];
    if (module(box)) said.push(module(box));
    said.push(inSeconds(total[box]), `${share(total[box], total[0])} of all`);
    if (box) said.push(data.labels[boxes.category[box]]);
    for (const [state, seconds] of own[box] ?? []) said.push(`${inSeconds(seconds)} ${state} by itself`);
    for (const [mark] of marks.get(box) ?? []) said.push(`operation ${texts[mark]}`);
    return said.join(", ");
  }

  // Drawing. `zoomed` is the box that has the whole width; what calls it is drawn above it, what it does not call is not.
  let zoomed = 0, active = 0, matches = null, drawn = new Map(), svg = null, letter = 7, width = 0, base = 0;

  function made(tag, attributes, parent) {
    const node = document.createElementNS(SVG, tag);
    for (const key in attributes) node.setAttribute(key, attributes[key]);
    parent?.append(node);
    return node;
  }

  function rect(parent, kind, x, y, wide) {
    return made("rect", { ...kind, x: x.toFixed(2), y, width: Math.max(wide, 0.5).toFixed(2), height: ROW - 1 }, parent);
  }

  function drawBox(box, into, scale) {
    const above = box < zoomed;
    const x = above ? 0 : (left[box] - left[zoomed]) * scale;
    const wide = above ? width : total[box] * scale;
    const y = (depth[box] - base) * ROW;
    const category = box ? data.categories[boxes.category[box]] : "whole";
    const group = made("g", {
      class: `box ${category}${above ? " above" : ""}${matches?.has(box) ? " hit" : ""}`,
      role: "treeitem", tabindex: -1, "data-box": box, "aria-label": described(box),
      "aria-level": depth[box] + 1, "aria-posinset": place[box] || 1,
      "aria-setsize": box ? children[boxes.parent[box]] : 1,
    }, into);
    if (first[box] >= 0) group.setAttribute("aria-expanded", "true");
    rect(group, { class: "fill" }, x, y, wide - 1);
    if (!above) drawOwn(box, group, x, y, scale);
    if (marks.has(box)) rect(group, { class: "mark" }, x, y, Math.min(wide - 1, 4));
    const letters = Math.floor((wide - MARGIN - 3) / letter);
    if (letters >= 3) {
      const full = name(box);
      const shown = full.length <= letters ? full : `${full.slice(0, letters - 1)}…`;
      made("text", { x: (x + MARGIN).toFixed(2), y: y + 14 }, group).textContent = shown;
    }
    drawn.set(box, group);
  }

  function drawOwn(box, group, x, y, scale) {
    let from = x + (free[box] - left[box]) * scale;
    for (const [state, seconds] of own[box] ?? []) {
      const wide = seconds * scale;
      if (wide >= NARROW) {
        if (RUNTIME.has(state)) rect(group, { class: "fill runtime" }, from, y, wide - 1);
        if (SHADED.has(state)) rect(group, { class: "shade", fill: `url(#flame-${state})` }, from, y, wide - 1);
      }
      from += wide;
    }
  }

  function draw() {
    width = Math.max(graph.clientWidth, 200);
    const scale = total[zoomed] > 0 ? width / total[zoomed] : 0;
    const into = document.createDocumentFragment();
    let deepest = depth[zoomed];
    drawn = new Map();
    base = Math.max(0, depth[zoomed] - CALLERS);
    const callers = [];
    for (let box = boxes.parent[zoomed]; box >= 0 && depth[box] >= base; box = boxes.parent[box]) callers.push(box);
    for (const box of callers.reverse()) drawBox(box, into, scale);
    for (let box = zoomed; box < end[zoomed];) {
      if ((total[box] * scale < NARROW && box !== zoomed) || depth[box] - depth[zoomed] > CALLED) {
        box = end[box];
        continue;
      }
      drawBox(box, into, scale);
      deepest = Math.max(deepest, depth[box]);
      box++;
    }
    const height = (deepest - base + 1) * ROW;
    for (const [key, value] of Object.entries({ width, height, viewBox: `0 0 ${width} ${height}` })) svg.setAttribute(key, value);
    svg.classList.toggle("searching", matches !== null);
    svg.replaceChildren(into);
    reset.disabled = zoomed === 0;
    if (!drawn.has(active)) active = zoomed;
    drawn.get(active).setAttribute("tabindex", 0);
  }

  function activate(box) {
    drawn.get(active)?.setAttribute("tabindex", -1);
    active = box;
    drawn.get(active)?.setAttribute("tabindex", 0);
    explain(box);
  }

  function zoom(box) {
    const focused = graph.contains(document.activeElement);
    zoomed = box;
    activate(box);
    draw();
    if (focused) focus(box);
  }

  // A box that is too narrow to be drawn is zoomed into, with its caller if that is enough.
  function focus(box) {
    for (const wider of [boxes.parent[box], box]) {
      if (drawn.has(box)) break;
      zoomed = wider;
      active = box;
      draw();
    }
    drawn.get(box).focus();
  }

  // Details of the box that is pointed at or has the focus.
  function explain(box) {
    const lines = [];
    const line = (label, text) => {
      const term = document.createElement("dt"), value = document.createElement("dd");
      term.textContent = label;
      value.textContent = text;
      lines.push(term, value);
    };
    const heading = document.createElement("p");
    heading.className = "name";
    heading.textContent = name(box);
    const file = texts[boxes.file[box]];
    if (module(box)) line("module", module(box));
    if (file) line("file", `${file}${boxes.line[box] ? `, most at line ${boxes.line[box]}` : ""}`);
    line("seconds", `${inSeconds(total[box])}, ${share(total[box], total[0])} of all`
      + (zoomed ? `, ${share(total[box], total[zoomed])} of what is zoomed into` : ""));
    const alone = ownOf(box);
    line("its own", alone ? (own[box] ?? []).map(([state, seconds]) => `${inSeconds(seconds)} ${state}`).join(", ") : "none");
    if (box) line("of", data.labels[boxes.category[box]]);
    if (held.has(box)) line("loop held by", held.get(box).slice(0, 3).map(([by, seconds]) => `${texts[by]} (${inSeconds(seconds)})`).join(", "));
    if (marks.has(box)) line("operations", marks.get(box).slice(0, 4).map(([mark, category, calls, seconds]) =>
      `${texts[mark]}${texts[category] ? ` (${texts[category]})` : ""}: ${counted(calls, "call")}, ${inSeconds(seconds)}`).join("; "));
    const list = document.createElement("dl");
    list.append(...lines);
    details.replaceChildren(heading, list);
  }

  // Search: boxes whose function, module, file or operations contain the words, letter case aside.
  function seek() {
    const wanted = search.value.trim().toLowerCase();
    if (!wanted) {
      matches = null;
      found.textContent = "";
      return draw();
    }
    const hit = texts.map((text) => text.toLowerCase().includes(wanted));
    matches = new Set();
    const functions = new Set();
    let seconds = 0, covered = 0;
    for (let box = 1; box < count; box++) {
      const whole = `${module(box)}.${name(box)}`;
      if (!hit[boxes.name[box]] && !hit[boxes.module[box]] && !hit[boxes.file[box]]
        && !(marks.get(box) ?? []).some(([mark]) => hit[mark]) && !whole.toLowerCase().includes(wanted)) continue;
      matches.add(box);
      functions.add(whole);
      if (box >= covered) {
        seconds += total[box];
        covered = end[box];
      }
    }
    found.textContent = matches.size
      ? `${counted(functions.size, "function")}, ${inSeconds(seconds)}, ${share(seconds, total[0])} of all`
      : "Nothing found";
    draw();
  }

  const boxAt = (target) => {
    const group = target instanceof Element ? target.closest("[data-box]") : null;
    return group ? Number(group.dataset.box) : -1;
  };

  const steps = {
    ArrowDown: (box) => first[box], ArrowUp: (box) => boxes.parent[box],
    ArrowRight: (box) => next[box], ArrowLeft: (box) => previous[box], Home: () => 0,
  };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const box = boxAt(event.target);
    if (box < 0) return;
    if (steps[event.key]) {
      const to = steps[event.key](box);
      if (to >= 0) focus(to);
    } else if (event.key === "Enter" || event.key === " ") {
      zoom(box);
    } else if (event.key === "Backspace") {
      if (zoomed) zoom(boxes.parent[zoomed]);
    } else return;
    event.preventDefault();
  }

  svg = made("svg", { class: "flame", role: "tree", "aria-label": `Call tree of ${name(0)}, ${inSeconds(total[0])}` });
  graph.replaceChildren(svg);
  const sample = made("text", { x: 0, y: 14 }, svg);
  sample.textContent = "m".repeat(50);
  letter = sample.getComputedTextLength() / 50 || letter;

  // Not on the SVG: one that listens for focus can be tabbed to.
  graph.addEventListener("click", (event) => { const box = boxAt(event.target); if (box >= 0) zoom(box); });
  graph.addEventListener("pointerover", (event) => { const box = boxAt(event.target); if (box >= 0) explain(box); });
  graph.addEventListener("focusin", (event) => { const box = boxAt(event.target); if (box >= 0) activate(box); });
  graph.addEventListener("keydown", pressed);
  reset.addEventListener("click", () => { zoom(0); search.focus(); });
  let waiting = 0;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(seek, PAUSE); });
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !matches?.size) return;
    focus([...matches].reduce((best, box) => total[box] > total[best] ? box : best));
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
    } else if (event.key === "Escape" && document.activeElement !== search && zoomed) zoom(0);
  });
  new ResizeObserver(() => { if (Math.max(graph.clientWidth, 200) !== width) draw(); }).observe(graph);
  draw();
})();
