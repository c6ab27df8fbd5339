// <own-tokens>: tokens by which programs act in one's name. A new one is shown once. It must not know what they do.

import { makeToken, ownTokens, revokeToken } from "../rest.js";
import { CopyText } from "./copy-text.js";
import { FormElement } from "./form-element.js";
import { FieldProblem } from "./session-words.js";

/** @typedef {import("../rest.js").Token} Token */
/** @typedef {import("../rest.js").Scope} Scope */

const SCOPES = { read: "Read", post: "Post", admin: "Administer" };

export class OwnTokens extends FormElement {
  /** @type {import("../models/times.js").Times} */ #times;

  /** @param {import("../models/times.js").Times} times */
  connect(times) {
    this.#times = times;
    this.child("list", HTMLElement).addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      if (button) this.#revoke(button);
    });
  }

  /** @param {import("../rest.js").SessionUser} me */
  show({ role }) {
    this.child("admin", HTMLElement).hidden = role !== "admin" && role !== "owner";
  }

  async load() {
    try {
      this.#fill(await ownTokens());
    } catch (error) {
      this.refused(error);
    }
  }

  /** What was shown once is not shown again. */
  forget() {
    this.clear();
    this.#made("");
  }

  async send() {
    const name = this.value("name");
    const scopes = /** @type {Scope[]} */ (new FormData(this.form).getAll("scope"));
    if (!name) throw new FieldProblem("name", "What is the token for?");
    if (scopes.length === 0) throw new FieldProblem("scope", "A token that may do nothing is no use.");
    const { token } = await makeToken({ name, scopes });
    this.#fill(await ownTokens());
    this.clear();
    this.#made(token);
  }

  /** @param {HTMLButtonElement} button */
  async #revoke(button) {
    // It cannot be undone, and a program somewhere stops: one press is too few.
    if (!button.dataset.sure) {
      button.dataset.sure = "asked";
      button.textContent = "Really revoke";
      return;
    }
    try {
      await revokeToken(button.value);
      this.#fill(await ownTokens());
      this.field("name").focus();
    } catch (error) {
      this.refused(error);
    }
  }

  /** @param {string} token */
  #made(token) {
    this.child("made", HTMLElement).hidden = !token;
    this.find("copy-text", CopyText).show(token);
  }

  /** @param {Token[]} tokens */
  #fill(tokens) {
    this.child("none", HTMLElement).hidden = tokens.length > 0;
    this.child("list", HTMLElement).replaceChildren(...tokens.map((token) => this.#item(token)));
  }

  /** @param {Token} token */
  #item({ id, name, scopes, created, seen }) {
    const item = document.createElement("li");
    item.className = "own-list__item";
    const title = document.createElement("strong");
    title.textContent = name;
    const facts = document.createElement("span");
    facts.className = "own-list__facts";
    const used = seen ? `Last used: ${this.#times.moment(Date.parse(seen))}` : "Never used";
    const does = scopes.map((scope) => SCOPES[scope]).join(", ");
    facts.textContent = `${does} · Made: ${this.#times.day(Date.parse(created))} · ${used}`;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button--small";
    button.value = id;
    button.textContent = "Revoke";
    button.setAttribute("aria-description", `the token ${name}`);
    item.append(title, facts, button);
    return item;
  }
}

customElements.define("own-tokens", OwnTokens);
