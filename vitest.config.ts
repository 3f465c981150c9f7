import { defineConfig } from "vitest/config";

const all = ["packages/*/src/**/*.test.ts", "test/**/*.test.ts"];
/** They ask how much is lost at a rate: nothing else runs beside them. */
const alone = ["packages/flows/src/capture/loss.test.ts", "test/flows-flood.test.ts"];

export default defineConfig({
  ssr: { resolve: { conditions: ["x0tta6bl4-source"] } },
  test: {
    globalSetup: "test/lab/compile-cache.ts",
    env: { NODE_OPTIONS: "--conditions=x0tta6bl4-source" },
    // For a machine that does much else beside; nothing here waits so long by design.
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Of `expect.poll`; one second, as it is else, passes unseen on a busy machine.
    expect: { poll: { timeout: 20_000 } },
    // No module has a state, so files can share a process, which takes longer to start than most of them run.
    isolate: false,
    projects: [
      {
        extends: true,
        // Three even on two cores: kernel tests wait for a good part of their time, for children and RCU grace periods.
        test: { name: "together", include: all, exclude: alone, maxWorkers: 3, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: { name: "alone", include: alone, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
