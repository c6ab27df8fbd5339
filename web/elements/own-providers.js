// <own-providers>: by whom else one may sign in, and whom one may add for that.
// It must not know what a provider is asked, nor what one proves there.

import { providerAddress } from "../models/door.js";
import { thePlace } from "../rest.js";
import { PartElement } from "./part-element.js";

export class OwnProviders extends PartElement {
  /** @param {import("../rest.js").SessionUser} me */
  async show({ providers: tied }) {
    const { providers } = await thePlace();
    this.hidden = providers.length === 0;
    const lines = providers.map(({ id, name }) => line(name, tied.includes(id) ? null : providerAddress(id, location.pathname)));
    this.child("provider-list", HTMLElement).replaceChildren(...lines);
  }
}

/**
 * @param {string} name
 * @param {string | null} address where it is added, if it is not there yet
 */
function line(name, address) {
  const item = document.createElement("li");
  item.className = "own-list__item";
  const words = document.createElement("span");
  words.textContent = address ? name : `${name}: you may sign in by it`;
  item.append(words);
  if (address) {
    const add = document.createElement("a");
    add.className = "button button--small";
    add.href = address;
    add.textContent = "Add";
    add.setAttribute("aria-label", `Add ${name}`);
    item.append(add);
  }
  return item;
}

customElements.define("own-providers", OwnProviders);
