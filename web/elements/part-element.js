// The base of the page's elements: finds the parts of its own markup, which stands in index.html, by their name; and
// the one element of a kind that the page has.
// It must not know any model.

export class PartElement extends HTMLElement {
  /**
   * @template {HTMLElement} T
   * @param {string} name
   * @param {new () => T} type
   * @returns {T}
   */
  child(name, type) {
    return this.find(`[data-part="${name}"]`, type);
  }

  /**
   * @template {Element} T
   * @param {string} selector
   * @param {new () => T} type
   * @returns {T}
   */
  find(selector, type) {
    const found = this.querySelector(selector);
    if (found instanceof type) return found;
    throw new Error(`<${this.localName}> has no ${type.name} at ${selector}`);
  }

  /**
   * Shows words in a part, or hides the part where there are none.
   * @param {string} name
   * @param {string} words
   */
  say(name, words) {
    const part = this.child(name, HTMLElement);
    part.hidden = words === "";
    if (part.textContent !== words) part.textContent = words;
  }
}

/**
 * @template {HTMLElement} T
 * @param {string} name
 * @param {new () => T} type
 * @returns {T}
 */
export function element(name, type) {
  const found = document.querySelector(name);
  if (found instanceof type) return found;
  throw new Error(`the page has no <${name}>`);
}
