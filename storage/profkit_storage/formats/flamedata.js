"use strict";
// Reads the boxes of a page (see flame_data.py for their form) into `flameTree`, for the flame graph and the call tree,
// and tells the one what is chosen in the other. A page with several graphs, one at a time, starts each by itself.
globalThis.flameTreeOf = (data) => {
  const { texts, boxes, states, categories, labels } = data;
  const count = boxes.parent.length, kinds = states.length;

  // Boxes come callers first and a subtree at a time, so the one of box i is [i, end[i]). `spent` is by box and state:
  // a box's own seconds and those below it.
  const own = Array.from({ length: count }, () => null);
  const held = new Map(), marks = new Map(), smaller = new Map(data.smaller);
  const total = new Float64Array(count), left = new Float64Array(count), free = new Float64Array(count);
  const spent = new Float64Array(count * kinds);
  const depth = new Int32Array(count), end = new Int32Array(count);
  const first = new Int32Array(count).fill(-1), next = new Int32Array(count).fill(-1);
  const previous = new Int32Array(count).fill(-1), last = new Int32Array(count).fill(-1);
  const place = new Int32Array(count), children = new Int32Array(count);

  const grouped = ([of, ...columns], into) => {
    of.forEach((box, index) => {
      const row = columns.map((column) => column[index]);
      into.has(box) ? into.get(box).push(row) : into.set(box, [row]);
    });
  };
  grouped(data.held, held);
  grouped(data.marks, marks);
  const [of, inState, lasting] = data.own;
  for (let index = 0; index < of.length; index++) {
    const box = of[index], state = inState[index], seconds = lasting[index];
    (own[box] ??= []).push([states[state], seconds]);
    total[box] += seconds;
    spent[box * kinds + state] += seconds;
  }
  for (const list of own) list?.sort((one, other) => states.indexOf(one[0]) - states.indexOf(other[0]));
  for (let box = count - 1; box >= 0; box--) {
    end[box] = Math.max(end[box], box + 1);
    const parent = boxes.parent[box];
    if (parent >= 0) {
      total[parent] += total[box];
      end[parent] = Math.max(end[parent], end[box]);
      for (let state = 0; state < kinds; state++) spent[parent * kinds + state] += spent[box * kinds + state];
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

  // As `in_seconds` of durations.py writes them.
  function inSeconds(value) {
    if (value < 0.9995) return `${Number((value * 1000).toPrecision(3))} ms`;
    if (value < 59.995) return `${value.toFixed(2)} s`;
    const seconds = Math.round(value), minutes = Math.floor(seconds / 60), hours = Math.floor(minutes / 60);
    const two = (number) => String(number).padStart(2, "0");
    if (minutes < 60) return `${minutes} min ${two(seconds % 60)} s`;
    if (hours < 48) return `${hours} h ${two(minutes % 60)} min`;
    const days = Math.floor(hours / 24).toLocaleString("en");
    return hours % 24 ? `${days} d ${two(hours % 24)} h` : `${days} d`;
  }

  // What is of no use without scripts is hidden until now.
  for (const one of document.querySelectorAll("[data-scripted]")) one.hidden = false;

  const listening = { graph: [], tree: [] };
  return {
    count, texts, states, categories, labels, own, held, marks, smaller,
    total, left, free, depth, end, first, next, previous, place, children,
    parent: boxes.parent,
    name: (box) => texts[boxes.name[box]],
    module: (box) => texts[boxes.module[box]],
    file: (box) => texts[boxes.file[box]],
    line: (box) => boxes.line[box],
    kind: (box) => box ? categories[boxes.category[box]] : "whole",
    label: (box) => box ? labels[boxes.category[box]] : "",
    textsOf: (box) => [boxes.name[box], boxes.module[box], boxes.file[box]],
    ownOf: (box) => (own[box] ?? []).reduce((sum, [, seconds]) => sum + seconds, 0),
    statesOf: (box) => states
      .map((state, index) => [state, spent[box * kinds + index]])
      .filter(([, seconds]) => seconds > 0),
    inSeconds,
    share: (value, whole) => whole > 0 ? `${(100 * value / whole).toFixed(1)} %` : "",
    counted: (value, noun) => `${value.toLocaleString("en")} ${noun}${value === 1 ? "" : "s"}`,
    // `where` is what shall show a box: the graph or the tree. With `go` the focus goes there too.
    show: (where, box, go) => { for (const one of listening[where]) one(box, go); },
    shows: (where, shown) => { listening[where].push(shown); },
  };
};
if (document.getElementById("flame-data")) {
  globalThis.flameTree = flameTreeOf(JSON.parse(document.getElementById("flame-data").textContent));
}
