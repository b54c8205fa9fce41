// Builds dist/ from src/: the page, the two workers and the style sheet. Same sources and lock file,
// same bytes, in whatever folder.
import { readdir, rm } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

const common = {
  absWorkingDir: here,
  outdir: "dist",
  outbase: ".",
  entryNames: "[name]",
  bundle: true,
  minify: true,
  sourcemap: false,
  target: ["firefox128", "chrome120"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  metafile: true,
  banner: { js: '"use strict";' },
};
// No module is loaded at run time: one request for each file.
const outputs = [
  // Smaller than with a function around it; nothing is imported or exported.
  { format: "esm", entryPoints: ["src/page/page.ts", "src/worker/sealer.ts", "src/worker/reader.ts", "style.css"] },
  // Loaded into a worker that has names of its own.
  { format: "iife", entryPoints: ["src/worker/toll.ts"] },
];
const metafiles = await Promise.all(outputs.map(async (one) => (await build({ ...common, ...one })).metafile));

// What an earlier build made and this one did not would be shipped with the rest.
const made = new Set(metafiles.flatMap(({ outputs: files }) => Object.keys(files).map((path) => basename(path))));
for (const name of await readdir(`${here}/dist`)) {
  if (!made.has(name)) {
    await rm(`${here}/dist/${name}`, { recursive: true });
  }
}
