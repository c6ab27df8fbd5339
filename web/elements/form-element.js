// The base of the page's forms about oneself: sends once at a time, and shows each problem beside the field that it
// is about. It must not know what a form is for.

import { PartElement } from "./part-element.js";
import { fieldOf, whyRefused } from "./session-words.js";

export class FormElement extends PartElement {
  #busy = false;

  connectedCallback() {
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.form.addEventListener("input", ({ target }) => {
      if (target instanceof HTMLInputElement) this.#say(target.name, "");
    });
  }

  get form() {
    return this.find("form", HTMLFormElement);
  }

  /**
   * Does what the form is for; what it throws is shown.
   * @returns {Promise<void>}
   */
  async send() {
    throw new Error(`<${this.localName}> does not say what it sends`);
  }

  /** @param {string} name */
  field(name) {
    return this.find(`[name="${name}"]`, HTMLInputElement);
  }

  /** @param {string} name @returns {string} without the spaces around it, unless it is a password */
  value(name) {
    const field = this.field(name);
    return field.type === "password" ? field.value : field.value.trim();
  }

  /** The name that is asked for or signed in with here, if any. */
  askedName() {
    const named = this.querySelector('[name="login"], [name="name"]');
    return named instanceof HTMLInputElement ? named.value.trim() : "";
  }

  /** Empty, and nothing is wrong. */
  clear() {
    this.form.reset();
    this.#unsay();
  }

  /** @param {unknown} error */
  refused(error) {
    const words = whyRefused(error, this.askedName());
    const field = this.#nearest(fieldOf(error));
    this.#say(field, words);
    if (field) {
      this.field(field).focus();
      this.field(field).select();
    }
  }

  async #submit() {
    if (this.#busy) return;
    const button = this.find("button[type=submit]", HTMLButtonElement);
    this.#unsay();
    this.#busy = true;
    button.ariaBusy = "true";
    try {
      await this.send();
    } catch (error) {
      this.refused(error);
    } finally {
      this.#busy = false;
      button.ariaBusy = null;
    }
  }

  // What a form has no field for, and what is about no field, stands at its foot.
  /** @param {string} [field] */
  #nearest(field) {
    return field && this.querySelector(`[data-problem="${field}"]`) ? field : "";
  }

  #unsay() {
    for (const place of this.querySelectorAll("[data-problem]")) {
      if (place instanceof HTMLElement) this.#say(place.dataset.problem ?? "", "");
    }
  }

  /**
   * @param {string} field
   * @param {string} words
   */
  #say(field, words) {
    const place = this.querySelector(`[data-problem="${field}"]`);
    if (place) place.textContent = words;
    if (field) this.field(field).ariaInvalid = words ? "true" : null;
  }
}
