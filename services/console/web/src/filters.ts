// The fields above a list: what they say stands in the page's address, and the page's stream shows what it asks for.
import { follow } from "./live.ts";

/** How long somebody may pause while typing, milliseconds. */
const PAUSE_MS = 200;

/** Lets the list follow the fields as they are changed. */
export function followFilters(main: HTMLElement): void {
  const form = document.getElementById("filters");
  const live = main.dataset["live"]?.split("?")[0];
  if (!(form instanceof HTMLFormElement) || live === undefined) return;
  let timer = 0;
  form.addEventListener("input", () => {
    window.clearTimeout(timer);
    timer = window.setTimeout(() => show(form, live), PAUSE_MS);
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    window.clearTimeout(timer);
    show(form, live);
  });
  window.addEventListener("popstate", () => window.location.reload());
}

function show(form: HTMLFormElement, live: string): void {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (typeof value === "string" && value.trim() !== "") query.append(name, value.trim());
  const asked = query.size === 0 ? "" : `?${query.toString()}`;
  if (asked === location.search) return;
  history.pushState(null, "", location.pathname + asked);
  follow(live + asked);
}
