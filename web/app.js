// The page's first step, kept to old syntax: finds out whether this browser can run the rest, and says so if not.
// It must not know anything of chat.

const needed = {
  "web sockets": "WebSocket" in globalThis,
  "custom elements": "customElements" in globalThis,
  dialogs: "HTMLDialogElement" in globalThis,
  "inert elements": "inert" in HTMLElement.prototype,
  "secure random numbers": "crypto" in globalThis && "getRandomValues" in crypto,
};

const notice = document.getElementById("notice");
const missing = Object.entries(needed).filter((entry) => !entry[1]).map((entry) => entry[0]);

if (missing.length > 0) {
  refuse("This browser is too old for Chinwag: it lacks " + missing.join(", ") + ". A current Firefox, Chrome, Edge or Safari will do.");
} else {
  import("./main.js").then(
    () => notice && notice.remove(),
    (error) => {
      refuse("Chinwag could not start in this browser. A current Firefox, Chrome, Edge or Safari will do.");
      throw error;
    },
  );
}

/** @param {string} words */
function refuse(words) {
  if (!notice) return;
  notice.textContent = words;
  notice.classList.remove("notice--late");
}
