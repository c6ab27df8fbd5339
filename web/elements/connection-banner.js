// <connection-banner>: says when the connection is lost, or the server cannot store anything, and when that is over;
// silent while all is well.
// It must not know how coming back works.

import { PartElement } from "./part-element.js";

const SHOWN_FOR_MS = 4_000;

const WAITING = {
  lost: "Connection lost. Trying to come back… What you write now is sent then.",
  drain: "The server is restarting. Coming back in a moment…",
  crowded: "The server is crowded just now. Trying again in a minute or so.",
};

const AWAY = "The server cannot store messages for the moment. You can go on reading; what you write is sent when it can.";

export class ConnectionBanner extends PartElement {
  /** @type {import("../models/connection.js").Connection} */ #connection;
  /** @type {import("../models/chat.js").Chat} */ #chat;
  #wasLost = false;
  #wasAway = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #hideTimer;

  /** @param {import("../models/chat.js").Chat} chat */
  connect(chat) {
    this.#chat = chat;
    this.#connection = chat.connection;
    chat.addEventListener("away", () => this.#draw());
    this.#connection.addEventListener("state", () => this.#draw());
    addEventListener("offline", () => this.#draw());
    addEventListener("online", () => this.#draw());
    chat.follower.addEventListener("reset", () => this.#briefly("This room's history has changed, so it is shown afresh."));
    this.child("action", HTMLButtonElement).addEventListener("click", () => this.#act());
  }

  #draw() {
    const state = this.#connection.state;
    if (state.phase === "live" && this.#chat.away) {
      this.#wasAway = true;
      this.#show(AWAY, "trouble", "");
    } else if (state.phase === "live") {
      if (this.#wasLost) this.#briefly("Connected again. Nothing was missed.");
      else if (this.#wasAway) this.#briefly("The server stores messages again. What you wrote is sent now.");
      this.#wasLost = this.#wasAway = false;
    } else if (state.phase === "waiting") {
      this.#wasLost = true;
      const offline = !navigator.onLine && state.why === "lost";
      const words = offline ? "You are offline. What you write now is sent when you are back." : WAITING[state.why];
      this.#show(words, "trouble", "Try now");
    } else if (state.phase === "stopped" && state.why === "not-allowed") {
      this.#show("The server has closed the door on this connection.", "trouble", "Load again");
    }
  }

  /** @param {string} words */
  #briefly(words) {
    this.#show(words, "good", "");
    this.#hideTimer = setTimeout(() => this.#show("", "", ""), SHOWN_FOR_MS);
  }

  /**
   * The banner itself is never hidden: screen readers tell only of changes within a region they know.
   * @param {string} words
   * @param {"trouble" | "good" | ""} tone
   * @param {string} action
   */
  #show(words, tone, action) {
    clearTimeout(this.#hideTimer);
    this.dataset.tone = tone;
    this.say("words", words);
    this.say("action", action);
  }

  #act() {
    if (this.#connection.state.phase === "stopped") location.reload();
    else this.#connection.retryNow();
  }
}

customElements.define("connection-banner", ConnectionBanner);
