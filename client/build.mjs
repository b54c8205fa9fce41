// Builds dist/ from src/: the page, the worker and the style sheet. Same sources and lock file,
// same bytes, in whatever folder.
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));

await rm(`${here}/dist`, { recursive: true, force: true });
await mkdir(`${here}/dist`);
await build({
  absWorkingDir: here,
  entryPoints: ["src/page.ts", "src/worker.ts", "style.css"],
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
});
