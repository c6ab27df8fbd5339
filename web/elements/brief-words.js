// <brief-words>: a few words above the composer about what has just happened, gone again soon.
// It must not know what it tells.

import { PartElement } from "./part-element.js";

const SHOWN_FOR_MS = 6_000;

export class BriefWords extends PartElement {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;

  /** @param {string} words */
  tell(words) {
    clearTimeout(this.#timer);
    this.#show(words);
    this.#timer = setTimeout(() => this.#show(""), SHOWN_FOR_MS);
  }

  // The element itself stays, as screen readers tell only of changes within a region they know.
  /** @param {string} words */
  #show(words) {
    this.say("brief", words);
  }
}

customElements.define("brief-words", BriefWords);
