// What the sealing worker loads when the server asks for work: pages that nobody asks for any stay small.

import { Payer } from "../net/payer.js";

Object.assign(globalThis, { Payer });
