// What keys do, on every page. None of them does anything while somebody types into a field.

const PLACES: Record<string, string> = { o: "/", r: "/runs", d: "/deployment" };
/** How long the second key may come after the first, milliseconds. */
const PAIR_MS = 1_500;

let pairBegan = Number.NEGATIVE_INFINITY;

/** Listens to keys, and lets buttons open the dialogs that they name. */
export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]") === null && press(event.key, event.timeStamp)) event.preventDefault();
  });
  document.addEventListener("click", (event) => {
    const opener = (event.target as Element | null)?.closest<HTMLElement>("[data-opens]");
    if (opener) open(opener.dataset["opens"] ?? "");
  });
}

function press(key: string, at: number): boolean {
  if (at - pairBegan < PAIR_MS) {
    pairBegan = Number.NEGATIVE_INFINITY;
    const place = PLACES[key];
    if (place !== undefined) window.location.assign(place);
    return place !== undefined;
  }
  switch (key) {
    case "g":
      pairBegan = at;
      return true;
    case "?":
      return open("keys");
    case "/":
      return focus(document.querySelector<HTMLElement>("[data-search]"));
    case "j":
      return step(1);
    case "k":
      return step(-1);
    default:
      return clickOn(key);
  }
}

/** Clicks on what says of itself that the key is for it. */
function clickOn(key: string): boolean {
  const found = document.querySelector<HTMLElement>(`[aria-keyshortcuts="${CSS.escape(key)}"]`);
  found?.click();
  return found !== null;
}

/** Goes to the next entry of a list, or the one before. */
function step(by: number): boolean {
  const entries = [...document.querySelectorAll<HTMLElement>(".entry")];
  const here = entries.findIndex((entry) => entry === document.activeElement);
  return focus(entries[here === -1 ? 0 : here + by] ?? null);
}

function focus(element: HTMLElement | null): boolean {
  element?.focus();
  return element !== null;
}

function open(id: string): boolean {
  const dialog = document.getElementById(id);
  if (!(dialog instanceof HTMLDialogElement)) return false;
  dialog.showModal();
  return true;
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || (target instanceof HTMLInputElement && !["checkbox", "radio", "button", "submit"].includes(target.type));
}
