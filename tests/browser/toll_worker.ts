// Solves the shared vectors of the toll with the page's own code (test_price.py), in a worker as the page does.

import { encodeProof, Puzzles, parseProof } from "../../client/src/formats/toll.js";

function bytesOf(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(hex.match(/../g) ?? [], (two) => Number.parseInt(two, 16));
}

onmessage = async ({ data: { seed, token, written, solve } }) => {
  const puzzles = await Puzzles.of(bytesOf(seed), bytesOf(token));
  const proof = parseProof(written);
  const holds = await puzzles.hold(proof);
  if (!solve) {
    postMessage([holds, ""]);
    return;
  }
  const { hour, effort } = proof;
  const nonces = await puzzles.solve(effort, () => undefined);
  postMessage([holds, encodeProof({ hour, effort, nonces })]);
};
