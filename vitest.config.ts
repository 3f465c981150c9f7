import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["x0tta6bl4-source"] } },
  test: {
    include: ["packages/*/src/**/*.test.ts", "test/**/*.test.ts"],
    env: { NODE_OPTIONS: "--conditions=x0tta6bl4-source" },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
