// What the worker loads when a code is opened: pages on which nobody reads stay small.

export { hearReading, openMailbox } from "./reader.js";
