// Moments as the reader's own clock shows them, ages and durations that go on.

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });

/** Tells a duration with about three digits. */
export function durationText(ms: number): string {
  if (!Number.isFinite(ms)) return "?";
  if (ms < SECOND) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < MINUTE) return `${(ms / SECOND).toFixed(1)} s`;
  const part = (size: number, of: number): string => String(Math.floor((ms % of) / size)).padStart(2, "0");
  if (ms < HOUR) return `${Math.floor(ms / MINUTE)} min ${part(SECOND, MINUTE)} s`;
  return `${Math.floor(ms / HOUR)} h ${part(MINUTE, HOUR)} min`;
}

/** Tells how long ago something was. */
export function agoText(ms: number): string {
  const [count, unit] = ms < MINUTE ? [ms / SECOND, "s"] : ms < HOUR ? [ms / MINUTE, "min"] : ms < DAY ? [ms / HOUR, "h"] : [ms / DAY, "d"];
  return `${Math.max(0, Math.floor(count))} ${unit} ago`;
}

/** Tells the time of day, to the millisecond. */
export function clockText(ms: number): string {
  return CLOCK.format(ms);
}

/** Keeps every time of the page up to date. */
export function keepTimes(): void {
  refresh();
  window.setInterval(refresh, SECOND);
  document.addEventListener("shown", refresh);
}

function refresh(): void {
  const now = Date.now();
  for (const element of document.querySelectorAll<HTMLTimeElement>("time[data-form]")) {
    const at = Date.parse(element.dateTime);
    const text = element.dataset["form"] === "ago" ? agoText(now - at) : element.dataset["form"] === "since" ? durationText(now - at) : MOMENT.format(at);
    if (element.textContent !== text) element.textContent = text;
    if (element.title === "") element.title = MOMENT.format(at);
  }
}
