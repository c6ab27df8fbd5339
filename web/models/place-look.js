// What the place is called and which colour it wears, now: as the page was told at the start, and by pushes since.
// It must not know the DOM.

export const OWN_NAME = "Chinwag";

/** Dispatches `change`. */
export class PlaceLook extends EventTarget {
  name = OWN_NAME;
  /** @type {string | null} */ accent = null;

  /** @param {{name: string, accent: string | null}} place */
  apply({ name, accent }) {
    this.name = name;
    this.accent = accent;
    this.dispatchEvent(new Event("change"));
  }
}
