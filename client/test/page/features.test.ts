import { describe, expect, it } from "vitest";

import { kinds } from "../../src/page/features.js";

const ONION = new URL(`http://${"a".repeat(56)}.onion/ru/`);
const CLEAR = new URL("https://example.org/ru/");
const FIREFOX = { userAgent: "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0" };
const ANDROID = { userAgent: "Mozilla/5.0 (Android 10; Mobile; rv:128.0) Gecko/128.0 Firefox/128.0" };
const CHROMIUM = { userAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36" };
const IPHONE = {
  userAgent: "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0",
};

describe("what a device is told", () => {
  it("is of New Identity in Tor Browser on a computer, and of the whole browser elsewhere", () => {
    expect(kinds(FIREFOX, ONION)).toEqual(["identity"]);
    expect(kinds(ANDROID, ONION)).toEqual(["phone", "whole"]);
  });

  it("is that it is elsewhere, in another browser or at an address without an onion", () => {
    expect(kinds(FIREFOX, CLEAR)).toEqual(["elsewhere", "whole"]);
    expect(kinds(CHROMIUM, ONION)).toEqual(["elsewhere", "whole"]);
    expect(kinds(IPHONE, ONION)).toEqual(["phone", "elsewhere", "whole"]);
  });

  it("is nothing of it in a page that was opened as a file", () => {
    expect(kinds(CHROMIUM, new URL("file:///home/a/page.html"))).toEqual(["whole"]);
  });
});
