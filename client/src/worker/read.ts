// What the worker loads when a code is opened: pages on which nobody reads stay small.

import { hearReading, openMailbox } from "./reader.js";

export const reader = { hearReading, openMailbox };
Object.assign(globalThis, { reader });
