// One stop for the Tab key in a long list of like buttons: arrows walk from one to the next, Tab leaves the list.
// It must not know what the buttons do.

export class Roving {
  #container;
  #selector;

  /**
   * @param {HTMLElement} container
   * @param {string} selector of the buttons, which stand in it in reading order
   */
  constructor(container, selector) {
    this.#container = container;
    this.#selector = selector;
    container.addEventListener("keydown", (event) => this.#key(event));
  }

  /** To be called when the list has changed: without another choice the stop is at its end. */
  settle() {
    const focused = this.#buttons.find((button) => button === document.activeElement);
    const stop = focused ?? this.#buttons.at(-1);
    if (stop) this.#stopAt(stop);
  }

  get #buttons() {
    const found = /** @type {NodeListOf<HTMLElement>} */ (this.#container.querySelectorAll(this.#selector));
    return [...found].filter((button) => !button.hidden);
  }

  /** @param {HTMLElement} stop */
  #stopAt(stop) {
    const before = this.#container.querySelector(`${this.#selector}[tabindex="0"]`);
    if (before instanceof HTMLElement && before !== stop) before.tabIndex = -1;
    stop.tabIndex = 0;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const buttons = this.#buttons;
    const at = buttons.findIndex((button) => button === event.target);
    if (at < 0 || event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
    event.preventDefault();
    const next = buttons[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (!next) return;
    this.#stopAt(next);
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }
}
