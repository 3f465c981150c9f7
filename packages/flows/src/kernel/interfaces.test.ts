import { beforeEach, expect, test } from "vitest";
import { createNamespace, requireKernel } from "../../../../test/lab/index.ts";
import { watchInterfaces } from "./interfaces.ts";
import { openLibc } from "./libc.ts";
import { openNamespace } from "./namespaces.ts";

beforeEach((context) => requireKernel(context, "netns"));

test("news says how things stand at last: a device that came and went is gone, its successor is there", async () => {
  await using host = await createNamespace();
  const libc = openLibc();
  const inside = openNamespace(libc, host.path);
  using stack = new DisposableStack();
  stack.defer(() => inside.close());
  const watch = inside.run(() => watchInterfaces(libc));
  stack.defer(() => watch.close());
  const commands = (...lines: string[]) => host.exec(["ip", "-batch", "-"], lines.join("\n"));
  const news = () => {
    const { added, removed, relist } = watch.changes();
    return { added: added.map(({ name, up }) => ({ name, up })), removed, relist };
  };

  await commands("link add one index 70 type veth peer name two index 71", "link set one up");
  expect(news()).toEqual({
    added: [
      { name: "two", up: false },
      { name: "one", up: true },
    ],
    removed: [],
    relist: false,
  });
  await commands("link set two up", "link delete one");
  expect(news()).toEqual({ added: [], removed: expect.arrayContaining([70, 71]), relist: false });
  await commands("link add one index 70 type veth peer name two index 71", "link delete one");
  await commands("link add three index 70 type veth peer name four index 71");
  expect(news()).toEqual({
    added: expect.arrayContaining([
      { name: "three", up: false },
      { name: "four", up: false },
    ]),
    removed: expect.arrayContaining([70, 71]),
    relist: false,
  });
});
