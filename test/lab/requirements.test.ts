import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { run } from "./process.ts";
import { missingKernel, requireKernel } from "./requirements.ts";

const requirements = fileURLToPath(new URL("./requirements.ts", import.meta.url));

/** What `missingKernel` says in a process of its own. */
async function elsewhere(prefix: readonly string[], feature: string): Promise<string> {
  const script = `import { missingKernel } from ${JSON.stringify(requirements)};
console.log(await missingKernel(${JSON.stringify(feature)}));`;
  const command = [...prefix, process.execPath, "--input-type=module", "--eval", script];
  return (await run(command)).stdout.trim();
}

test("a missing privilege is named", async () => {
  const without = process.geteuid?.() === 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];
  expect(await elsewhere(without, "netns")).toBe("needs CAP_NET_ADMIN, CAP_SYS_ADMIN (run as root)");
  expect(await elsewhere(without, "bpf")).toBe("needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON (run as root)");
});

test("a missing program is an error, not a reason to skip", async (context) => {
  await requireKernel(context, "netns");
  await expect(elsewhere(["env", "PATH=/nowhere"], "bridge")).rejects.toThrow(/unshare.*ENOENT/);
});

test("the test is skipped with the reason, or goes on", async () => {
  const notes: (string | undefined)[] = [];
  const context = { skip: (note?: string) => void notes.push(note) };
  const lack = await missingKernel("vlan");
  await requireKernel(context, "vlan");
  expect(notes).toEqual(lack === undefined ? [] : [lack]);
});
