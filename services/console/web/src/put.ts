// HTML of the console in the place of what a page shows. It was made by a template that escapes whatever it shows.
import { Idiomorph } from "idiomorph";

/** Puts HTML in the place of an element's content: what did not change stays, with its focus and what was opened in it. */
export function put(element: Element, html: string): void {
  Idiomorph.morph(element, html, {
    morphStyle: "innerHTML",
    callbacks: { beforeAttributeUpdated: (name, node) => !(name === "open" && node instanceof HTMLDetailsElement) },
  });
  document.dispatchEvent(new CustomEvent("shown"));
}
