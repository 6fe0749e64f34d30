"use strict";
// Asks for the page again, on demand or every few seconds, and replaces what lives. What is open, sorted, filtered,
// focused or scrolled to stays so.
(() => {
  const KEPT = "profkit-refresh";
  const PATIENCE = 20_000; // milliseconds until an answer is given up
  const form = document.getElementById("refresh"), every = document.getElementById("refresh-every");
  const said = document.getElementById("refresh-said"), at = document.getElementById("refresh-at");
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

  // Elements by what tells them apart, the second of the same name by its number.
  const keyed = (all, name) => {
    const counts = new Map();
    return new Map(all.map((one) => {
      const key = name(one);
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return [`${key}#${counts.get(key)}`, one];
    }));
  };

  const details = (within) => keyed([...within.querySelectorAll("details")],
    (one) => one.dataset.key ?? one.querySelector("summary")?.textContent ?? "");

  // Not by its place: after a refresh another row may be there, and Enter would do something to that.
  const focusable = (within) => keyed([...within.querySelectorAll("a[href], button, input, select, summary, [tabindex]")],
    (one) => one.dataset.keep ?? [
      one.tagName, one.getAttribute("href"), one.name, one.value, one.closest("details")?.dataset.key, one.textContent.slice(0, 200),
    ].join("|"));

  const scrolled = () => [...live().querySelectorAll(".wide, .stack")];

  function noteFocus() {
    const focused = document.activeElement;
    if (!focused || !live().contains(focused)) return () => {};
    const [key] = [...focusable(live())].find(([, one]) => one === focused) ?? [];
    const selection = focused instanceof HTMLInputElement ? [focused.selectionStart, focused.selectionEnd] : null;
    return () => {
      const target = focusable(live()).get(key);
      target?.focus({ preventScroll: true });
      if (selection && target instanceof HTMLInputElement) target.setSelectionRange(...selection);
    };
  }

  function show(page) {
    const fresh = page.getElementById("live"), before = details(live()), refocus = noteFocus();
    const { scrollX, scrollY } = window, lefts = scrolled().map((one) => one.scrollLeft);
    for (const [key, one] of details(fresh)) one.open = before.get(key)?.open ?? one.open;
    live().replaceChildren(...fresh.childNodes);
    const process = page.querySelector(".process"), last = document.querySelector(".process");
    const other = process && last && process.textContent !== last.textContent;
    if (other) last.replaceChildren(...process.childNodes);
    document.dispatchEvent(new Event("profkit:shown"));
    scrolled().forEach((one, place) => { one.scrollLeft = lefts[place] ?? 0; });
    refocus();
    window.scrollTo(scrollX, scrollY);
    return other;
  }

  const failure = (status) => ({
    0: "You were sent elsewhere, perhaps to sign in: load the page anew.",
    401: "You are no longer signed in: load the page anew.",
    403: "You may no longer see this.",
    409: "Something of this kind is going on already.",
    429: "Too much was asked.",
    503: "The process is busy.",
  })[status] ?? `It was answered ${status}.`;

  /** The page that was answered, whatever its status: a process that is not well says so with 503. Else null. */
  async function pageOf(answer) {
    if (!answer.headers.get("content-type")?.startsWith("text/html")) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.getElementById("live") && !page.querySelector("main .problem") ? page : null;
  }

  // A refresh that nobody asked for just now is not announced.
  function say(words, quietly) {
    at.textContent = quietly ? words : "";
    said.textContent = quietly ? "" : words;
  }

  async function refresh(quietly) {
    if (asking) return;
    asking = true;
    clearTimeout(timer);
    try {
      const answer = await fetch(address, {
        headers: { accept: "text/html" }, redirect: "manual", signal: AbortSignal.timeout(PATIENCE),
      });
      const page = await pageOf(answer);
      if (page) {
        const other = show(page);
        say(`${other ? "another worker, " : ""}as of ${new Date().toLocaleTimeString()}`, quietly);
      } else {
        say(failure(answer.status), false);
        if (answer.status < 409) every.value = "0"; // asking again does not help
      }
    } catch (error) {
      say(error.name === "TimeoutError" ? "There was no answer." : "The process cannot be reached.", false);
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
    if (seconds > 0) timer = setTimeout(() => { if (isFree()) refresh(true); else plan(); }, seconds * 1000);
  }

  every.value = remembered();
  if (!every.value) every.value = "0";
  every.addEventListener("change", () => { remember(every.value); plan(); });
  form.addEventListener("submit", (event) => { event.preventDefault(); refresh(false); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && Number(every.value) > 0) refresh(true); });
  form.hidden = false;
  plan();
})();
