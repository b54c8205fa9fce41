import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // Key derivation and gigabyte-sized bodies on a busy machine: only a test that hangs is to fail.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
