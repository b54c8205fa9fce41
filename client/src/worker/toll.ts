// What the sealing worker loads when the server asks for work: pages that nobody asks for any stay small.

export { Payer } from "../net/payer.js";
