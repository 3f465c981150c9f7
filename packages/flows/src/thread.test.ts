/** What a thread loads stays resident as long as the agent: zod alone is 16 MB, prom-client 9 MB, for each thread. */
import { MessageChannel, Worker } from "node:worker_threads";
import { expect, test } from "vitest";

/** Tells each module that is loaded, before any other is. */
const reporter = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from "node:module";
  import { parentPort } from "node:worker_threads";
  registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context);
      parentPort.postMessage({ module: resolved.url });
      return resolved;
    },
  });
`)}`;

/** Packages that a worker thread has loaded, all the way down, once it would answer its first call. */
async function packagesOf(entry: URL): Promise<readonly string[]> {
  const { port1: records } = new MessageChannel();
  const worker = new Worker(entry, {
    execArgv: ["--conditions=x0tta6bl4-source", "--import", reporter],
    workerData: { records },
    transferList: [records],
  });
  const loaded = new Set<string>();
  try {
    await new Promise<void>((resolve, reject) => {
      worker.on("error", reject);
      worker.on("message", (message: { readonly module?: string }) => {
        const { module } = message;
        // The answer to the call below: there is none of that name.
        if (module === undefined) return resolve();
        const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(module) ?? [];
        if (name !== undefined) loaded.add(name);
      });
      worker.postMessage({ kind: "call", id: 1, name: "none", argument: undefined });
    });
  } finally {
    await worker.terminate();
  }
  return [...loaded].sort();
}

// What they need of others, such as koffi, they load when they are told to open.
test.each(["capture", "packets", "recording"])(
  "the thread of %s starts without any package of others",
  async (name) => {
    expect(await packagesOf(new URL(`./${name}/worker.ts`, import.meta.url))).toEqual([]);
  },
);

test("what a package of our own imports is seen as well", async () => {
  const entry = `
    import { parentPort } from "node:worker_threads";
    import ${JSON.stringify(new URL("./config.ts", import.meta.url))};
    parentPort.on("message", () => parentPort.postMessage({}));`;
  expect(await packagesOf(new URL(`data:text/javascript,${encodeURIComponent(entry)}`))).toContain("zod");
});
