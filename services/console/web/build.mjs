// Bundles the pages' scripts and styles into the package's static folder, under names that change with their content, and
// writes which name each has. With --watch it does so again whenever a source changes.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, context } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = join(here, "../isthmus_console/static");

const manifest = {
  name: "manifest",
  setup({ onEnd }) {
    onEnd(async ({ errors, outputFiles = [] }) => {
      if (errors.length > 0) return;
      const names = {};
      await mkdir(folder, { recursive: true });
      const icon = await readFile(join(here, "src/icon.svg"));
      const files = [...outputFiles.map((file) => [file.path, file.contents]), ["icon.svg", icon]];
      for (const [path, contents] of files) {
        const name = path.slice(path.lastIndexOf("/") + 1);
        const dot = name.lastIndexOf(".");
        const digest = createHash("sha256").update(contents).digest("hex").slice(0, 12);
        names[name] = `${name.slice(0, dot)}-${digest}${name.slice(dot)}`;
        await writeFile(join(folder, names[name]), contents);
      }
      // Whole or not at all: a console may read it at this moment.
      await writeFile(join(folder, "manifest.json.new"), JSON.stringify(names, null, 2) + "\n");
      await rename(join(folder, "manifest.json.new"), join(folder, "manifest.json"));
      const kept = new Set([...Object.values(names), "manifest.json"]);
      for (const name of await readdir(folder)) if (!kept.has(name)) await rm(join(folder, name), { recursive: true });
    });
  },
};

const options = {
  absWorkingDir: here,
  entryPoints: ["src/main.ts", "src/main.css"],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  outdir: folder,
  write: false,
  logLevel: "warning",
  plugins: [manifest],
};

if (process.argv.includes("--watch")) {
  const watched = await context(options);
  await watched.watch();
} else {
  await build(options);
}
