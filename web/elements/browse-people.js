// <browse-people>: everyone who has an account here. It must not know what is shown of the one who is chosen.

import { DialogElement } from "./dialog-element.js";
import { PeopleSearch } from "./people-search.js";

export class BrowsePeople extends DialogElement {
  /** @param {{chat: import("../models/chat.js").Chat, showPerson: (person: import("../wire.js").Author) => void}} parts */
  connect({ chat, showPerson }) {
    this.#search.connect({ names: chat.names, choose: showPerson });
  }

  open() {
    super.open();
    this.#search.restart();
  }

  get #search() {
    return this.find("people-search", PeopleSearch);
  }
}

customElements.define("browse-people", BrowsePeople);
