// What the page imports when a code is opened: pages on which nobody opens one stay small.

import { Answers } from "./answers.js";
import { Uploads } from "./uploads.js";

/** The screens of what is opened, by what was asked for. */
export const screens = { open: Answers, find: Uploads };
