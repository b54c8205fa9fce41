// Builds dist/ from src/: the page, the two workers and the style sheet. Same sources and lock file,
// same bytes, in whatever folder.
import { readdir, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/page/page.ts", "src/worker/sealer.ts", "src/worker/reader.ts", "style.css"],
  outdir: "dist",
  outbase: ".",
  entryNames: "[name]",
  bundle: true,
  minify: true,
  sourcemap: false,
  format: "iife", // no module loading at run time: one request for each file
  target: ["firefox128", "chrome120"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
});

// What an earlier build made and this one did not would be shipped with the rest.
const made = new Set(Object.keys(metafile.outputs).map((path) => basename(path)));
for (const name of await readdir(`${here}/dist`)) {
  if (!made.has(name)) {
    await rm(`${here}/dist/${name}`, { recursive: true });
  }
}
