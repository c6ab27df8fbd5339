// <edit-profile>: all about oneself in one dialog, a tab for each thing, and the way out.
// It must not know what each part does, nor what follows from signing out.

import { currentUser } from "../rest.js";
import { BecomeAccount } from "./become-account.js";
import { DeleteAccount } from "./delete-account.js";
import { DialogElement } from "./dialog-element.js";
import { OwnName } from "./own-name.js";
import { OwnPassword } from "./own-password.js";
import { OwnPicture } from "./own-picture.js";
import { OwnProviders } from "./own-providers.js";
import { OwnSecondFactor } from "./own-second-factor.js";
import { OwnSessions } from "./own-sessions.js";
import { OwnTokens } from "./own-tokens.js";
import { SHORTCUTS } from "./shortcuts.js";
import { TabList } from "./tab-list.js";

/** @typedef {import("../rest.js").SessionUser} SessionUser */

const GUESTS_TABS = ["you", "account", "leaving"];
const TABS = ["you", "signing-in", "sessions", "programs", "leaving"];

export class EditProfile extends DialogElement {
  /**
   * @param {object} parts
   * @param {import("../models/names.js").Names} parts.names
   * @param {import("../models/times.js").Times} parts.times
   * @param {() => void} parts.signOut
   * @param {() => void} parts.signedOut told when the session is over already
   */
  connect({ names, times, signOut, signedOut }) {
    this.#picture.connect(names);
    this.#name.connect({ saved: () => this.close() });
    this.#sessions.connect({ times, ended: signedOut });
    this.#tokens.connect(times);
    this.#end.connect({ deleted: signedOut });
    this.child("sign-out", HTMLElement).addEventListener("click", signOut);
    this.child("keys", HTMLElement).replaceChildren(...SHORTCUTS.flatMap(describe));
    this.#tabs.addEventListener("choose", () => this.#chose());
    this.addEventListener("changed", (event) => this.#changed(/** @type {CustomEvent} */ (event).detail));
    this.find("dialog", HTMLDialogElement).addEventListener("close", () => this.#forget());
  }

  async open() {
    this.#tabs.offer(["you"]);
    this.#tabs.choose("you");
    super.open();
    const me = await this.#refresh();
    if (me) this.#name.field("name").select();
  }

  /** @returns {Promise<SessionUser | null>} */
  async #refresh() {
    try {
      const me = await currentUser();
      if (me) this.#show(me);
      return me;
    } catch (error) {
      this.#name.refused(error);
      return null;
    }
  }

  /** @param {SessionUser} me */
  #show(me) {
    const tabs = me.guest ? GUESTS_TABS : TABS;
    this.#tabs.offer(tabs);
    if (!tabs.includes(this.#tabs.chosen)) {
      this.#tabs.choose("you");
      this.#tabs.focusChosen();
    }
    this.child("guest-hint", HTMLElement).hidden = !me.guest;
    const parts = [this.#picture, this.#name, this.#account, this.#password, this.#secondFactor, this.#tokens, this.#end];
    for (const part of parts) part.show(me);
    this.#providers.show(me).catch(() => (this.#providers.hidden = true));
  }

  #chose() {
    this.say("done", "");
    if (this.#tabs.chosen === "sessions") this.#sessions.load();
    else if (this.#tabs.chosen === "programs") this.#tokens.load();
  }

  /** @param {string} words what one of the parts has brought about */
  async #changed(words) {
    await this.#refresh();
    this.say("done", words);
  }

  // Passwords, codes and what was shown once do not wait behind a closed dialog.
  #forget() {
    for (const part of [this.#name, this.#account, this.#password, this.#end]) part.clear();
    this.#secondFactor.forget();
    this.#tokens.forget();
  }

  get #tabs() {
    return this.find("tab-list", TabList);
  }

  get #picture() {
    return this.find("own-picture", OwnPicture);
  }

  get #name() {
    return this.find("own-name", OwnName);
  }

  get #account() {
    return this.find("become-account", BecomeAccount);
  }

  get #password() {
    return this.find("own-password", OwnPassword);
  }

  get #secondFactor() {
    return this.find("own-second-factor", OwnSecondFactor);
  }

  get #providers() {
    return this.find("own-providers", OwnProviders);
  }

  get #sessions() {
    return this.find("own-sessions", OwnSessions);
  }

  get #tokens() {
    return this.find("own-tokens", OwnTokens);
  }

  get #end() {
    return this.find("delete-account", DeleteAccount);
  }
}

/** @param {{keys: string, does: string}} shortcut */
function describe({ keys, does }) {
  const term = document.createElement("dt");
  const kbd = document.createElement("kbd");
  kbd.textContent = keys;
  term.append(kbd);
  const words = document.createElement("dd");
  words.textContent = does;
  return [term, words];
}

customElements.define("edit-profile", EditProfile);
