"use strict";
// Asks for the page again, on demand or every few seconds, and replaces what lives. What is open, sorted, filtered,
// focused or scrolled to stays so.
(() => {
  const KEPT = "profkit-refresh";
  const PATIENCE = 20_000; // milliseconds until an answer is given up
  const form = document.getElementById("refresh"), every = document.getElementById("refresh-every");
  const said = document.getElementById("refresh-said");
  // Without the name and password that an address may have: fetch would refuse it.
  const address = location.origin + location.pathname + location.search;
  let timer = 0, asking = false;

  const live = () => document.getElementById("live");

  const remembered = () => {
    try { return sessionStorage.getItem(KEPT) ?? "0"; } catch { return "0"; }
  };
  const remember = (seconds) => {
    try { sessionStorage.setItem(KEPT, seconds); } catch { /* then it is for this page only */ }
  };

  const keyed = (all) => {
    const counts = new Map();
    return all.map((one) => {
      const key = one.dataset.key ?? one.querySelector("summary")?.textContent ?? "";
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return [`${key}#${counts.get(key)}`, one];
    });
  };

  const focusable = (within) => [...within.querySelectorAll("a[href], button, input, select, summary")];

  function noteFocus() {
    const focused = document.activeElement, region = live();
    if (!focused || !region.contains(focused)) return () => {};
    const { keep } = focused.dataset, place = focusable(region).indexOf(focused);
    const selection = focused instanceof HTMLInputElement ? [focused.selectionStart, focused.selectionEnd] : null;
    return () => {
      const again = focusable(live());
      const target = keep ? again.find((one) => one.dataset.keep === keep) : again[place];
      target?.focus({ preventScroll: true });
      if (selection && target instanceof HTMLInputElement) target.setSelectionRange(...selection);
    };
  }

  function show(page) {
    const fresh = page.getElementById("live");
    if (!fresh) throw new Error("this was no page");
    const open = new Map(keyed([...live().querySelectorAll("details")]).map(([key, one]) => [key, one.open]));
    const refocus = noteFocus();
    const { scrollX, scrollY } = window;
    for (const [key, one] of keyed([...fresh.querySelectorAll("details")])) {
      if (open.has(key)) one.open = open.get(key);
    }
    live().replaceChildren(...fresh.childNodes);
    const process = page.querySelector(".process"), before = document.querySelector(".process");
    const other = process && before && process.textContent !== before.textContent;
    if (other) before.replaceChildren(...process.childNodes);
    document.dispatchEvent(new Event("profkit:shown"));
    refocus();
    window.scrollTo(scrollX, scrollY);
    return other;
  }

  const failure = (status) => ({
    401: "You are no longer signed in: load the page anew.",
    403: "You may no longer see this.",
    409: "Something of this kind is going on already.",
    429: "Too much was asked.",
    503: "The process is busy.",
  })[status] ?? `It was answered ${status}.`;

  async function refresh() {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      const answer = await fetch(address, {
        headers: { accept: "text/html" }, redirect: "error", signal: AbortSignal.timeout(PATIENCE),
      });
      if (answer.ok) {
        const other = show(new DOMParser().parseFromString(await answer.text(), "text/html"));
        said.textContent = `${other ? "another worker, " : ""}as of ${new Date().toLocaleTimeString()}`;
      } else {
        said.textContent = failure(answer.status);
        if (answer.status < 409) every.value = "0"; // asking again does not help
      }
    } catch (error) {
      said.textContent = error.name === "TimeoutError" ? "There was no answer." : "The process cannot be reached.";
    } finally {
      asking = false;
      plan();
    }
  }

  // Nobody looks, or somebody marks text to copy it: not now.
  const isFree = () => !document.hidden && (getSelection()?.isCollapsed ?? true);

  function plan() {
    clearTimeout(timer);
    const seconds = Number(every.value);
    if (seconds > 0) timer = setTimeout(() => { if (isFree()) refresh(); else plan(); }, seconds * 1000);
  }

  every.value = remembered();
  if (!every.value) every.value = "0";
  every.addEventListener("change", () => { remember(every.value); plan(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && Number(every.value) > 0) refresh(); });
  form.hidden = false;
  plan();
})();
