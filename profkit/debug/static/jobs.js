"use strict";
// Jobs: a form of class "job" is sent without leaving its page, with progress and a way to cancel. What comes of it is
// shown below the forms, opened if it is a new profile, or gone to. What is refused is said beside the button.
(() => {
  const BUSY = 409;
  const LOOK = 5; // seconds after which to ask again at the latest: another's job may end early
  const boards = new WeakMap(); // by form: what is to be seen of its job
  const cancelled = (error) => error?.name === "AbortError";

  function make(tag, properties, ...children) {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  }

  /** What a form shows of its job. Words are announced; a clock, which would be at every second, is not. */
  class Board {
    constructor(form) {
      this.form = form;
      this.start = form.querySelector("button");
      this.said = form.querySelector("[role=status]");
      this.box = make("div", { className: "going" });
      this.box.hidden = true;
      this.said.before(this.box);
      this.ticking = 0;
      this.until = 0; // when the job that is waited for should be done
      this.abort = null;
    }

    /**
     * Say words; in the box put parts, of which the first button takes the focus that a hidden one had. `tick` is called
     * four times a second, until it says that nothing will change any more.
     */
    show(words, parts = [], { startable = true, tick = null } = {}) {
      const active = document.activeElement;
      const focused = active === this.start || this.box.contains(active);
      clearInterval(this.ticking);
      this.said.textContent = words;
      this.box.replaceChildren(...parts);
      this.box.hidden = parts.length === 0;
      this.start.hidden = !startable;
      if (tick?.()) this.ticking = setInterval(() => { if (!tick()) clearInterval(this.ticking); }, 250);
      if (focused) (startable ? this.start : this.box.querySelector("button"))?.focus({ preventScroll: true });
    }

    cancelButton() {
      const button = make("button", { type: "button", className: "second", textContent: "Cancel" });
      button.addEventListener("click", () => this.abort.abort());
      return button;
    }

    progress(seconds, began) {
      this.until = 0;
      const clock = make("span", { className: "number" });
      const bar = make("progress", { max: seconds || 1 });
      bar.setAttribute("aria-label", this.form.dataset.doing);
      if (seconds) bar.value = 0;
      const most = this.form.dataset.atMost ? "at most " : "";
      const tick = () => {
        const elapsed = (performance.now() - began) / 1000;
        if (seconds && elapsed < seconds) {
          bar.value = elapsed;
          clock.textContent = `${Math.floor(elapsed)} s, ${most}${Math.ceil(seconds - elapsed)} s left`;
        } else {
          bar.removeAttribute("value");
          clock.textContent = seconds ? `${Math.floor(elapsed)} s, putting the answer together` : "";
        }
        return seconds > 0;
      };
      this.show(this.form.dataset.doing, [bar, clock, this.cancelButton()], { startable: false, tick });
    }

    /** Another's job is in the way: offer to wait for its end. */
    offer(words, seconds) {
      const until = performance.now() + seconds * 1000, clock = make("span", { className: "number" });
      const later = make("button", { type: "button", className: "second", textContent: "Start when it is done" });
      later.addEventListener("click", () => run(this.form, (until - performance.now()) / 1000, words));
      this.show(words, [clock, later], { tick: countdown(clock, until) });
    }

    /** Wait for another's job, anew only if it is not the one that is waited for already. */
    wait(words, seconds) {
      if (performance.now() < this.until) return;
      const until = performance.now() + seconds * 1000, clock = make("span", { className: "number" });
      this.until = until;
      const parts = [clock, this.cancelButton()];
      this.show(`${words} This is started then.`, parts, { startable: false, tick: countdown(clock, until) });
    }
  }

  // It goes on as long as there is something to count.
  const countdown = (clock, until) => () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    clock.textContent = left > 0 ? `${left} s left` : "It should be done now.";
    return left > 0;
  };

  const pause = (seconds, signal) => new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, Math.max(0, seconds) * 1000);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(signal.reason); }, { once: true });
  });

  function boardOf(form) {
    if (!boards.has(form)) boards.set(form, new Board(form));
    return boards.get(form);
  }

  /** Where a form is sent, without the name and password that a page's address may have: fetch would refuse it. */
  function target(form) {
    const url = new URL(form.getAttribute("action"), location.href);
    url.username = url.password = "";
    return url;
  }

  async function send(form, signal) {
    const body = new URLSearchParams(), headers = {};
    for (const [name, value] of new FormData(form)) {
      if (name === "form_token") headers["x-profkit-form-token"] = value;
      else if (value !== "") body.append(name, value);
    }
    headers.accept = form.dataset.then === "show" ? "text/html" : "application/json";
    const answer = await fetch(target(form), { method: "POST", headers, body, signal, redirect: "manual" });
    return { status: answer.status, ...read(answer, await answer.text()), retry: Number(answer.headers.get("retry-after")) || 0 };
  }

  function read(answer, text) {
    const kind = answer.headers.get("content-type") ?? "";
    if (kind.startsWith("application/json")) {
      const data = JSON.parse(text);
      return { data, message: data.error?.message };
    }
    if (!kind.startsWith("text/html")) return {};
    const page = new DOMParser().parseFromString(text, "text/html");
    return { page, message: page.querySelector(".problem")?.textContent.trim() };
  }

  /** Why it was refused, and what to do. */
  function words({ status, message, retry }) {
    if (status === 401) return "You are no longer signed in: load this page again.";
    if (status === 0) return "You were sent elsewhere, perhaps to sign in: load this page again.";
    if (!message) {
      const between = [502, 503, 504].includes(status) ? "; if by a proxy that waits for less long, take fewer seconds" : "";
      return `It was answered ${status}, not as these pages answer${between}.`;
    }
    if (status === 403) return `${message} If you have signed in anew meanwhile, load this page again.`;
    return retry && status !== BUSY ? `${message} Try again in ${retry} s.` : message;
  }

  /** Do the job of a form; `patient`: the seconds after which another's should be done that `why` tells of. */
  async function run(form, patient = null, why = "") {
    const board = boardOf(form);
    if (board.abort) return;
    board.abort = new AbortController();
    board.until = 0;
    const { signal } = board.abort;
    const input = form.elements.namedItem("seconds");
    const seconds = input && form.dataset.then !== "go" ? Number(input.value || input.defaultValue) : 0;
    try {
      let answer, wait = patient;
      do {
        if (wait !== null) {
          board.wait(why, wait);
          await pause(Math.min(wait, LOOK), signal);
        }
        // Who waits is mostly answered at once that the other is still at it.
        const began = performance.now();
        const soon = setTimeout(() => board.progress(seconds, began), wait === null ? 0 : 500);
        answer = await send(form, signal).finally(() => clearTimeout(soon));
        wait = Math.max(1, answer.retry);
        why = words(answer);
      } while (patient !== null && answer.status === BUSY);
      if (answer.status === BUSY) board.offer(why, wait);
      else if (answer.status !== 200) board.show(why);
      else finish(board, answer);
    } catch (error) {
      if (cancelled(error)) board.show(form.dataset.cancelled ?? "Cancelled.");
      else board.show("No whole answer came: the process may have ended, or the way to it is cut.");
    } finally {
      board.abort = null;
    }
  }

  function finish(board, answer) {
    const { form } = board;
    if (form.dataset.then === "open" && answer.data?.id) {
      board.show("Done. Its page is being opened.");
      location.assign(`${target(form)}/${encodeURIComponent(answer.data.id)}`);
    } else if (form.dataset.then === "go" && answer.data) {
      board.show("Done.");
      location.assign(new URL(form.dataset.to, target(form)));
    } else if (form.dataset.then === "show" && answer.page?.querySelector("main .answer")) {
      board.show("Done. The answer is below.");
      present(form, answer.page);
    } else {
      board.show("Something else than the answer came: load this page again.");
    }
  }

  /** Show an answer in place of the last one of the same form. */
  function present(form, page) {
    const heading = make("h2", { tabIndex: -1, textContent: page.querySelector("h1").textContent });
    const remove = make("button", { type: "button", className: "second small", textContent: "Remove" });
    const shown = make("div", { className: "shown" }, make("div", { className: "title" }, heading, remove));
    shown.append(document.adoptNode(page.querySelector("main .answer")));
    shown.dataset.of = form.id;
    remove.addEventListener("click", () => {
      shown.remove();
      form.querySelector("button").focus();
    });
    const place = document.getElementById("answers");
    [...place.children].find((one) => one.dataset.of === form.id)?.remove();
    place.prepend(shown);
    document.dispatchEvent(new Event("profkit:shown"));
    heading.focus();
  }

  /** A button elsewhere that fills in another form, named by `data-panel`, and starts its job; or leads to the one going on. */
  function fill(panel, button) {
    const going = boardOf(panel).abort !== null;
    if (!going) panel.elements.namedItem(button.name).value = button.value;
    panel.scrollIntoView({ block: "nearest" });
    panel.querySelector("button:not([hidden])")?.focus({ preventScroll: true });
    if (!going) panel.requestSubmit();
  }

  document.addEventListener("submit", (event) => {
    const form = event.target, panel = document.getElementById(form.dataset.panel ?? "");
    if (panel && event.submitter?.name) {
      event.preventDefault();
      fill(panel, event.submitter);
    } else if (form.matches("form.job")) {
      event.preventDefault();
      void run(form);
    }
  });
})();
