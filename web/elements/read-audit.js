// <read-audit>: what those with a role have done, the newest first, a page at a time.
// It must not know what the acts mean: new ones are shown as the server names them.

import { auditLog } from "../rest-place.js";
import { DialogElement } from "./dialog-element.js";
import { entry } from "./entry.js";

/** @typedef {import("../rest-place.js").AuditEntry} AuditEntry */

export class ReadAudit extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {import("../models/times.js").Times} */ #times;
  /** @type {number | undefined} the id of the oldest entry shown */ #oldest;

  /**
   * @param {object} parts
   * @param {import("../models/chat.js").Chat} parts.chat
   * @param {import("../models/times.js").Times} parts.times
   */
  connect({ chat, times }) {
    this.#chat = chat;
    this.#times = times;
    this.child("audit-more", HTMLElement).addEventListener("click", () => this.attempt(() => this.#load()));
  }

  open() {
    this.#oldest = undefined;
    this.child("audit", HTMLElement).replaceChildren();
    super.open();
    return this.attempt(() => this.#load());
  }

  async #load() {
    const { entries, more } = await auditLog(this.#oldest);
    this.child("audit", HTMLElement).append(...entries.map((one) => this.#item(one)));
    this.#oldest = entries.at(-1)?.id ?? this.#oldest;
    this.child("audit-more", HTMLElement).hidden = !more;
    this.say("no-audit", this.#oldest === undefined ? "Nothing has been done yet." : "");
  }

  /** @param {AuditEntry} done */
  #item({ at, by, act, subject, detail }) {
    const title = [this.#chat.names.nameOf(by), act.replaceAll("_", " "), subject].filter(Boolean).join(" · ");
    return entry({ title, facts: this.#times.moment(Date.parse(at)), text: detail });
  }
}

customElements.define("read-audit", ReadAudit);
