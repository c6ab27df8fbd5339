// <own-sessions>: where one is signed in, each of which can be ended from here.
// It must not know what this page does when its own session ends.

import { endSession, ownSessions, signOutEverywhere } from "../rest.js";
import { PartElement } from "./part-element.js";
import { whyRefused } from "./session-words.js";

/** @typedef {import("../rest.js").OwnSession} OwnSession */

export class OwnSessions extends PartElement {
  /** @type {import("../models/times.js").Times} */ #times;
  /** @type {() => void} */ #ended = () => {};

  /** @param {{times: import("../models/times.js").Times, ended: () => void}} parts `ended`: this session is over */
  connect({ times, ended }) {
    this.#times = times;
    this.#ended = ended;
    this.child("list", HTMLElement).addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      if (button) this.#try(() => this.#end(button));
    });
    this.child("everywhere", HTMLElement).addEventListener("click", () => this.#try(() => this.#endAll()));
  }

  load() {
    return this.#try(async () => {
      const sessions = await ownSessions();
      this.child("list", HTMLElement).replaceChildren(...sessions.map((session) => this.#item(session)));
    });
  }

  /** @param {HTMLButtonElement} button */
  async #end(button) {
    await endSession(button.value);
    button.closest("li")?.remove();
    this.child("everywhere", HTMLElement).focus();
  }

  async #endAll() {
    await signOutEverywhere();
    this.#ended();
  }

  /** @param {() => Promise<void>} act */
  async #try(act) {
    this.say("sessions-problem", "");
    try {
      await act();
    } catch (error) {
      this.say("sessions-problem", whyRefused(error, ""));
    }
  }

  /** @param {OwnSession} session */
  #item({ id, current, label, created, seen }) {
    const item = document.createElement("li");
    item.className = "own-list__item";
    const title = document.createElement("strong");
    title.textContent = label;
    const facts = document.createElement("span");
    facts.className = "own-list__facts";
    const seenWords = current ? "This one" : `Last seen: ${this.#times.moment(Date.parse(seen))}`;
    facts.textContent = `${seenWords} · Since: ${this.#times.moment(Date.parse(created))}`;
    item.append(title, facts);
    item.classList.toggle("own-list__item--current", current);
    if (!current) item.append(endButton(id, label));
    return item;
  }
}

/**
 * @param {string} id
 * @param {string} label
 */
function endButton(id, label) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button button--small";
  button.value = id;
  button.textContent = "End";
  button.ariaLabel = `End the session of ${label}`;
  return button;
}

customElements.define("own-sessions", OwnSessions);
