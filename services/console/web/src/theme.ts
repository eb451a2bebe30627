// Light and dark: as the system has it, or as the reader chose, which a cookie keeps so that pages come in it at once.

const THEMES = ["", "light", "dark"] as const;
const SIGNS: Record<string, string> = { "": "◐", light: "☀", dark: "☾" };
const NAMES: Record<string, string> = { "": "as the system has it", light: "light", dark: "dark" };
const YEAR_S = 365 * 24 * 3600;

/** Lets the button in the page's head choose the theme. */
export function offerThemes(): void {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  if (button === null) return;
  const show = (theme: string): void => {
    if (theme === "") delete root.dataset["theme"];
    else root.dataset["theme"] = theme;
    button.textContent = SIGNS[theme] ?? "";
    button.setAttribute("aria-label", `Theme: ${NAMES[theme] ?? theme}`);
  };
  show(root.dataset["theme"] ?? "");
  button.addEventListener("click", () => {
    const place = THEMES.findIndex((theme) => theme === (root.dataset["theme"] ?? ""));
    const next = THEMES[(place + 1) % THEMES.length] ?? "";
    show(next);
    document.cookie = `isthmus_theme=${next}; path=/; max-age=${next === "" ? 0 : YEAR_S}; samesite=lax`;
  });
}
