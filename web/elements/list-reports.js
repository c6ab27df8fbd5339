// <list-reports>: the messages that somebody has reported; opens, deletes or settles them.
// It must not know who is shown what has become of it.

import { addressOf } from "../models/address.js";
import { deleteMessage, openReports, settleReport } from "../rest-place.js";
import { DialogElement } from "./dialog-element.js";
import { entry, entryButton } from "./entry.js";

/** @typedef {import("../rest-place.js").Report} Report */

export class ListReports extends DialogElement {
  /** @type {import("../models/chat.js").Chat} */ #chat;
  /** @type {import("../models/times.js").Times} */ #times;
  /** @type {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} */ #confirm;
  /** @type {Report[]} */ #reports = [];

  /**
   * @param {object} parts
   * @param {import("../models/chat.js").Chat} parts.chat
   * @param {import("../models/times.js").Times} parts.times
   * @param {(question: import("./confirm-dialog.js").Question) => Promise<boolean>} parts.confirm
   */
  connect({ chat, times, confirm }) {
    this.#chat = chat;
    this.#times = times;
    this.#confirm = confirm;
    this.child("reports", HTMLElement).addEventListener("click", ({ target }) => {
      if (!(target instanceof Element)) return;
      if (target.closest("a")) this.close();
      const button = target.closest("button");
      const report = this.#reports.find(({ id }) => String(id) === button?.value);
      if (report) this.#act(button?.dataset.act, report);
    });
  }

  open() {
    super.open();
    return this.attempt(() => this.#load());
  }

  async #load() {
    this.#reports = await openReports();
    this.child("reports", HTMLElement).replaceChildren(...this.#reports.map((report) => this.#item(report)));
    this.say("no-reports", this.#reports.length === 0 ? "Nothing waits. All is well." : "");
  }

  /** @param {Report} report */
  #item({ id, room, room_name, seq, text, author, by, reason, at }) {
    const { names } = this.#chat;
    const facts = `${names.nameOf(author)} in ${room_name} · reported by ${names.nameOf(by)} · ${this.#times.moment(Date.parse(at))}`;
    const open = document.createElement("a");
    open.className = "button button--small";
    open.href = addressOf(room, seq);
    open.textContent = "Open";
    return entry({ title: reason, facts, text }, open, entryButton("delete", "Delete message", String(id)), entryButton("settle", "Settle", String(id)));
  }

  /**
   * @param {string | undefined} act
   * @param {Report} report
   */
  async #act(act, { id, room, seq, author }) {
    const name = this.#chat.names.nameOf(author);
    const question = { title: "Delete the message?", words: `What ${name} wrote is emptied, for everyone.`, action: "Delete" };
    if (act === "delete" && !(await this.#confirm(question))) return;
    await this.attempt(async () => {
      if (act === "delete") await deleteMessage(room, seq);
      await settleReport(id);
      await this.#load();
    });
  }
}

customElements.define("list-reports", ListReports);
