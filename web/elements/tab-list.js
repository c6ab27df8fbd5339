// <tab-list>: one panel shown of several; arrows walk the tabs, and what is walked to is shown.
// It must not know what stands in the panels.

import { PartElement } from "./part-element.js";

/** Dispatches `choose` when another tab was chosen. */
export class TabList extends PartElement {
  connectedCallback() {
    this.addEventListener("click", ({ target }) => {
      const tab = target instanceof Element ? target.closest("[role=tab]") : null;
      if (tab instanceof HTMLButtonElement) this.choose(tab.value);
    });
    this.addEventListener("keydown", (event) => this.#key(event));
  }

  /** The value of the tab whose panel is shown. */
  get chosen() {
    return this.#tabs.find((tab) => tab.ariaSelected === "true")?.value ?? "";
  }

  /** @param {string} value */
  choose(value) {
    for (const tab of this.#tabs) {
      const chosen = tab.value === value;
      tab.ariaSelected = String(chosen);
      tab.tabIndex = chosen ? 0 : -1;
      panelOf(tab).hidden = !chosen;
      if (chosen) tab.scrollIntoView({ block: "nearest", inline: "center" });
    }
    this.dispatchEvent(new Event("choose"));
  }

  focusChosen() {
    this.#tabs.find((tab) => tab.value === this.chosen)?.focus();
  }

  /** @param {string[]} values which tabs there are; the others are out of sight */
  offer(values) {
    for (const tab of this.#tabs) tab.hidden = !values.includes(tab.value);
  }

  get #tabs() {
    return [...this.querySelectorAll("button")];
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const tabs = this.#tabs.filter((tab) => !tab.hidden);
    const at = tabs.findIndex((tab) => tab.value === this.chosen);
    const next = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    const tab = next === undefined ? undefined : tabs.at(next % tabs.length);
    if (!tab) return;
    event.preventDefault();
    this.choose(tab.value);
    tab.focus();
  }
}

/** @param {HTMLButtonElement} tab */
function panelOf(tab) {
  const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
  if (panel) return panel;
  throw new Error(`the tab “${tab.value}” has no panel`);
}

customElements.define("tab-list", TabList);
