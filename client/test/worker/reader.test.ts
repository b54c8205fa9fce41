import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { describe, expect, it } from "vitest";

/** The files of which something is in the script of a worker, as the build makes it. */
async function contentsOf(worker: string): Promise<string[]> {
  const { metafile } = await build({
    absWorkingDir: fileURLToPath(new URL("../../", import.meta.url)),
    entryPoints: [`src/worker/${worker}.ts`],
    bundle: true,
    minify: true,
    format: "iife",
    write: false,
    metafile: true,
  });
  return Object.values(metafile.outputs)
    .flatMap(({ inputs }) => Object.entries(inputs))
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path);
}

describe("the worker that reads answers", () => {
  it("holds nothing that seals to a public key: replies need none", async () => {
    const sealing = (path: string): boolean => /hpke|mlkem/.test(path);

    expect((await contentsOf("reader")).filter(sealing)).toEqual([]);
    expect((await contentsOf("sealer")).filter(sealing)).not.toEqual([]);
  });
});
