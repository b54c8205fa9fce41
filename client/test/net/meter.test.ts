import { describe, expect, it } from "vitest";

import { Meter } from "../../src/net/meter.js";

describe("meter", () => {
  it("knows no rate before a second acknowledgement, half a second later", () => {
    const meter = new Meter(1000);
    meter.add(100, 5000);
    expect([meter.rate(5000), meter.remaining(9000)]).toEqual([null, null]);
    meter.add(100, 5400);
    expect(meter.rate(5400)).toBeNull();
    meter.add(100, 6000);

    expect(meter.rate(6000)).toBe(200);
    expect(meter.remaining(6000)).toBe(3.5);
    expect(meter.bytes).toBe(300);
  });

  it("looks back half a minute, or to the mark before on a slow line", () => {
    const meter = new Meter(10_000);
    for (let second = 0; second <= 60; second++) meter.add(second < 40 ? 10 : 100, second * 1000);
    expect(meter.rate(60_000)).toBeCloseTo((21 * 100 + 10 * 10) / 31, 0);
    meter.add(50, 160_000);
    meter.add(50, 260_000);

    expect(meter.rate(260_000)).toBeCloseTo(0.5, 5);
  });
});
