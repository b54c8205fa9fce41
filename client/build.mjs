// Builds dist/ from src/: the page, its worker, the style sheet, and those of the desk. Same sources and lock file,
// same bytes, in whatever folder.
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";
import { minify } from "terser";

const here = dirname(fileURLToPath(import.meta.url));

const common = {
  absWorkingDir: here,
  outdir: "dist",
  outbase: ".",
  entryNames: "[name]",
  bundle: true,
  write: false,
  sourcemap: false,
  target: ["firefox128", "chrome120"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};
// No module is loaded at run time: one request for each file.
const outputs = [
  // Smaller than with a function around it; nothing is imported or exported.
  { format: "esm", entryPoints: ["src/page/page.ts", "src/worker/worker.ts"] },
  // Beside another script, with names of its own.
  { format: "iife", entryPoints: ["src/page/start.ts"] },
  // Loaded into a worker that has names of its own.
  { format: "iife", entryPoints: ["src/worker/toll.ts"] },
  { minify: true, entryPoints: ["style.css"] },
  // The desk's own, in a folder of their own: no server has them among its files.
  { format: "esm", entryPoints: ["src/desk/desk.ts"], outdir: "dist/desk" },
  { minify: true, entryPoints: ["desk.css"], outdir: "dist/desk" },
];

// Smaller by a twentieth than what esbuild minifies: on a bad line each second counts.
async function shorten(script) {
  const { code } = await minify(script, { module: true, ecma: 2020, compress: { passes: 3 } });
  return `"use strict";${code}\n`;
}

const made = new Set();
await mkdir(`${here}/dist/desk`, { recursive: true });
for (const output of outputs) {
  for (const { path, text } of (await build({ ...common, ...output })).outputFiles) {
    await writeFile(path, path.endsWith(".js") ? await shorten(text) : text);
    made.add(relative(`${here}/dist`, path));
  }
}

// What an earlier build made and this one did not would be shipped with the rest.
for (const name of await readdir(`${here}/dist`, { recursive: true })) {
  if (!(made.has(name) || name === "desk")) {
    await rm(`${here}/dist/${name}`, { recursive: true, force: true });
  }
}
