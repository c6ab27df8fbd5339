// Keeps a container's children in step with a list of rows by their keys: what stays is left alone, what changed is
// filled again, what is gone is removed. It must not know scrolling.

import { createRow, fillRow, looksOf } from "./message-row.js";

/** @typedef {import("../models/rows.js").Row} Row */

export class RowKeeper {
  #container;
  /** @type {Map<string, {element: HTMLElement, looks: string}>} */ #kept = new Map();

  /** @param {HTMLElement} container */
  constructor(container) {
    this.#container = container;
  }

  /** @param {string} key */
  elementOf(key) {
    return this.#kept.get(key)?.element;
  }

  /**
   * @param {Row[]} rows
   * @param {import("./message-row.js").RowContext} context
   */
  update(rows, context) {
    const keys = new Set(rows.map(({ key }) => key));
    for (const [key, { element }] of this.#kept) {
      if (keys.has(key)) continue;
      element.remove();
      this.#kept.delete(key);
    }
    let next = this.#container.firstElementChild;
    for (const row of rows) {
      const element = this.#ready(row, context);
      if (element === next) next = next.nextElementSibling;
      else this.#container.insertBefore(element, next);
    }
  }

  clear() {
    this.#kept.clear();
    this.#container.replaceChildren();
  }

  /**
   * @param {Row} row
   * @param {import("./message-row.js").RowContext} context
   */
  #ready(row, context) {
    const looks = looksOf(row, context);
    const kept = this.#kept.get(row.key);
    if (kept?.looks === looks) return kept.element;
    const element = kept?.element ?? createRow(row);
    fillRow(element, row, context);
    this.#kept.set(row.key, { element, looks });
    return element;
  }
}
