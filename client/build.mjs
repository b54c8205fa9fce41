// Builds dist/ from src/: the page, its worker, the style sheet, and those of the desk; what pages ask for also packed,
// as .gz beside it. Same sources and lock file, same bytes, in whatever folder.
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { gzipAsync } from "@gfx/zopfli";
import { build, transform } from "esbuild";
import { minify } from "terser";

const here = dirname(fileURLToPath(import.meta.url));

// Of ExifReader only what says something of a photo's maker: its other parts would be twice as much.
const PARTS = ["EXIF", "TIFF", "JPEG", "PNG", "HEIC", "AVIF", "WEBP"];
const lessOfExifReader = {
  name: "less of ExifReader",
  setup({ onLoad }) {
    onLoad({ filter: /\/exifreader\/src\/.*\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(/\bConstants\.USE_([A-Z_]+)/g, (_, part) =>
        String(PARTS.includes(part)),
      ),
    }));
  },
};

// Its X25519 brings a SHA-256 and an HMAC in JavaScript along, for salts that nothing here has: WebCrypto's do.
const nativeHkdf = {
  name: "native HKDF",
  setup({ onLoad }) {
    onLoad({ filter: /\/@hpke\/dhkem-x25519\/esm\/src\/hkdfSha256\.js$/ }, () => ({
      contents: 'export { HkdfSha256Native as HkdfSha256 } from "@hpke/common";',
      resolveDir: here,
    }));
  },
};

// What its compiler made of plain fields: three lines each, of which there are hundreds.
const plainFields = {
  name: "plain fields",
  setup({ onLoad }) {
    const field =
      /Object\.defineProperty\(this, "(\w+)", \{\s+enumerable: true,\s+configurable: true,\s+writable: true,\s+value: ([^{}]*?|\{\})\s+\}\);/g;
    onLoad({ filter: /\/(@hpke|mlkem)\/.*\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, "utf8")).replace(field, "this.$1 = $2;"),
    }));
  },
};

const common = {
  absWorkingDir: here,
  outdir: "dist",
  outbase: ".",
  entryNames: "[name]",
  bundle: true,
  minifySyntax: true,
  write: false,
  sourcemap: false,
  target: ["firefox128", "chrome120"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};
// One request for each file: none loads another.
const outputs = [
  // Smaller than with a function around it; nothing is imported or exported.
  { format: "esm", entryPoints: ["src/worker/worker.ts"], plugins: [nativeHkdf, plainFields] },
  // Beside other scripts, and twice where a line is bad: each with names of its own.
  { format: "iife", entryPoints: ["src/page/start.ts", "src/page/page.ts"] },
  // What the page imports, when a code is opened.
  { format: "esm", entryPoints: ["src/page/opened/opened.ts"] },
  // What the worker imports: to pay, when a code is opened, and when an upload may be continued, or is.
  {
    format: "esm",
    entryPoints: [
      { in: "src/net/payer.ts", out: "toll" },
      { in: "src/worker/reader.ts", out: "read" },
      { in: "src/worker/later/continuing.ts", out: "continuing" },
    ],
  },
  // Asked for by a button.
  { format: "iife", entryPoints: ["src/worker/photo.ts"], plugins: [lessOfExifReader] },
  // The offline page carries it in its own bytes, in a folder of its own: no server has it among its files.
  { format: "iife", entryPoints: ["src/offline/offline.ts"], outdir: "dist/offline" },
  { minify: true, entryPoints: ["offline.css"], outdir: "dist/offline" },
  // The desk's own, in a folder of their own: no server has them among its files.
  { format: "esm", entryPoints: ["src/desk/desk.ts"], outdir: "dist/desk" },
  { minify: true, entryPoints: ["desk.css"], outdir: "dist/desk" },
];

// Smaller by a twentieth than what esbuild minifies: on a bad line each second counts.
// What esbuild says more shortly stays; functions put where they are called are longer, packed. Those of the page are
// shorter one after the other, those of the worker longer.
async function shorten(script, name) {
  // Names with _ in front are those of its libraries' own fields, which no other script says.
  const mangle = name === "worker.js" ? { properties: { regex: /^_/ } } : true;
  const compress = { inline: 0, ...(name === "page.js" ? { hoist_funs: true } : { passes: 3 }) };
  const { code } = await minify(script, { module: true, ecma: 2020, compress, mangle });
  return `"use strict";${code}\n`;
}

// A file that is there already stays: a server that runs from this checkout may be reading it.
async function put(name, data) {
  const path = `${here}/dist/${name}`;
  const bytes = Buffer.from(data);
  made.add(name);
  if ((await readFile(path).catch(() => null))?.equals(bytes)) return;
  await writeFile(`${path}.${process.pid}`, bytes);
  await rename(`${path}.${process.pid}`, path);
}

const made = new Set();
for (const folder of ["desk", "offline"]) await mkdir(`${here}/dist/${folder}`, { recursive: true });
for (const output of outputs) {
  for (const { path, text } of (await build({ ...common, ...output })).outputFiles) {
    const short = path.endsWith(".js") ? await shorten(text, basename(path)) : text;
    await put(relative(`${here}/dist`, path), short);
  }
}

// The part of the style that pages carry themselves: on a bad line another file comes seconds after the first words.
const [first, ...rest] = (await readFile(`${here}/style.css`, "utf8")).split("/* Up to here ");
if (rest.length !== 1) throw new Error("style.css does not say where its first part ends");
const styles = { "first.css": first, "style.css": `/* ${rest[0]}` };
for (const [name, text] of Object.entries(styles)) {
  const { code } = await transform(text, { loader: "css", minify: true, charset: "utf8", target: common.target });
  await put(name, code.trim());
}

// Smaller by a twentieth than what zlib packs, and seconds of work, which no server has for each start.
for (const name of [...made].filter((one) => /^[a-z]+\.(js|css)$/.test(one) && one !== "first.css")) {
  const packed = await gzipAsync(await readFile(`${here}/dist/${name}`), { numiterations: 15 });
  await put(`${name}.gz`, packed);
}

// What an earlier build made and this one did not would be shipped with the rest.
for (const name of await readdir(`${here}/dist`, { recursive: true })) {
  if (!(made.has(name) || ["desk", "offline"].includes(name))) {
    await rm(`${here}/dist/${name}`, { recursive: true, force: true });
  }
}
