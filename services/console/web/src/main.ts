// What every page begins with.
import { followFilters } from "./filters.ts";
import { listenToKeys } from "./keyboard.ts";
import { followPage } from "./live.ts";
import { showOutput } from "./output_page.ts";
import { showRun } from "./run_page.ts";
import { offerThemes } from "./theme.ts";
import { keepTimes } from "./times.ts";

const PAGES: Record<string, (main: HTMLElement) => void> = { runs: followFilters, run: showRun, output: showOutput };

const main = document.querySelector("main");
offerThemes();
listenToKeys();
keepTimes();
if (main !== null) PAGES[main.dataset["page"] ?? ""]?.(main);
followPage();
