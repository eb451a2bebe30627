// The one stream of a page: opened while the page is seen, opened again where it breaks, and a banner while it is interrupted.
import { put } from "./put.ts";

type Hearer = (facts: unknown) => void;

/** Without a sign of life for so long, what is shown may be old. The console gives one every five seconds. */
const SILENCE_MS = 12_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;

const hearers = new Map<string, Hearer[]>();
let source: EventSource | undefined;
let address = "";
let lastId = "";
let pauseMs = FIRST_PAUSE_MS;
let silence = 0;
let retry = 0;
let isOver = false;

/** Calls `hear` with what the stream tells under a name. */
export function on(name: string, hear: Hearer): void {
  hearers.set(name, [...(hearers.get(name) ?? []), hear]);
}

/** Follows the stream of an address from now on, in the place of the one before. */
export function follow(newAddress: string): void {
  address = newAddress;
  lastId = "";
  isOver = false;
  reopen();
}

/** Follows the page's stream, while the page is seen: a browser keeps few connections to one place. */
export function followPage(): void {
  const live = document.querySelector<HTMLElement>("main[data-live]")?.dataset["live"];
  if (live === undefined) return;
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : reopen()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) reopen();
  });
  follow(live);
}

function reopen(): void {
  close();
  if (isOver || document.hidden || address === "") return;
  const after = lastId === "" ? "" : `${address.includes("?") ? "&" : "?"}after=${lastId}`;
  const opened = new EventSource(address + after);
  source = opened;
  for (const name of ["hello", "beat", "fragment", "fault", "over", ...hearers.keys()]) {
    opened.addEventListener(name, (event: MessageEvent<string>) => {
      if (opened === source) hear(name, event);
    });
  }
  opened.onerror = () => {
    if (opened === source) lose();
  };
  expectLife();
}

function close(): void {
  source?.close();
  source = undefined;
  window.clearTimeout(silence);
  window.clearTimeout(retry);
}

function hear(name: string, event: MessageEvent<string>): void {
  if (event.lastEventId !== "") lastId = event.lastEventId;
  expectLife();
  if (name === "beat") {
    tell(event.data === "away" ? "The control plane does not answer at the moment. What is shown may be old." : "");
    return;
  }
  const facts: unknown = JSON.parse(event.data);
  pauseMs = FIRST_PAUSE_MS;
  if (name === "hello") greet(facts as { build: string });
  else if (name === "fragment") show(facts as { target: string; html: string });
  else if (name === "fault") fail(facts as { text: string; again: boolean });
  else if (name === "over") finish();
  for (const hear of hearers.get(name) ?? []) hear(facts);
}

function greet({ build }: { build: string }): void {
  tell("");
  const own = document.querySelector<HTMLMetaElement>("meta[name=build]")?.content;
  // The console is another one by now: the page's scripts may not understand what it tells.
  if (own !== undefined && own !== build) window.location.reload();
}

/** Puts HTML in the place of an element's content; what did not change stays as it is, and keeps the focus. */
function show({ target, html }: { target: string; html: string }): void {
  const element = document.getElementById(target);
  if (element === null || element.querySelector("dialog[open]") !== null) return;
  put(element, html);
}

function fail({ text, again }: { text: string; again: boolean }): void {
  tell(text);
  if (again) lose();
  else finish();
}

function finish(): void {
  isOver = true;
  close();
}

function lose(): void {
  close();
  if (banner().hidden) tell("The connection is interrupted. What is shown may be old; the page tries to connect again.");
  retry = window.setTimeout(() => void retryOnce(), pauseMs);
  pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
}

async function retryOnce(): Promise<void> {
  // An EventSource does not say why it was refused.
  const answer = await fetch("/session").catch(() => undefined);
  if (answer?.status === 401) {
    tell("You are signed out.", { text: "Sign in", href: `/sign-in?next=${encodeURIComponent(location.pathname + location.search)}` });
    return;
  }
  reopen();
}

function expectLife(): void {
  window.clearTimeout(silence);
  silence = window.setTimeout(lose, SILENCE_MS);
}

function banner(): HTMLElement {
  const found = document.getElementById("banner");
  if (found === null) throw new Error("the page has no banner");
  return found;
}

function tell(text: string, link?: { text: string; href: string }): void {
  const place = banner();
  place.replaceChildren(text);
  place.hidden = text === "";
  if (link === undefined) return;
  const anchor = document.createElement("a");
  anchor.href = link.href;
  anchor.textContent = link.text;
  place.append(" ", anchor);
}
