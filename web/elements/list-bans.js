// <list-bans>: who may not come in, until when and why; lifts it. It must not know how a ban is kept.

import { allBans, liftBan } from "../rest-place.js";
import { DialogElement } from "./dialog-element.js";
import { entry, entryButton } from "./entry.js";

export class ListBans extends DialogElement {
  /** @type {import("../models/times.js").Times} */ #times;

  /** @param {{times: import("../models/times.js").Times}} parts */
  connect({ times }) {
    this.#times = times;
    this.child("bans", HTMLElement).addEventListener("click", ({ target }) => {
      const button = target instanceof Element ? target.closest("button") : null;
      if (!button) return;
      this.attempt(async () => {
        await liftBan(button.value);
        await this.#load();
      });
    });
  }

  open() {
    super.open();
    return this.attempt(() => this.#load());
  }

  async #load() {
    const bans = await allBans();
    const items = bans.map(({ id, name, until, reason }) => {
      const facts = [this.#times.until(until), reason].filter(Boolean).join(" · ");
      return entry({ title: name, facts }, entryButton("lift", "Lift", id));
    });
    this.child("bans", HTMLElement).replaceChildren(...items);
    this.say("no-bans", bans.length === 0 ? "Nobody is banned." : "");
  }
}

customElements.define("list-bans", ListBans);
