import { statSync } from "node:fs";
import { expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { opensslFiles, refusal } from "./mapped-files.ts";

test("this Node's program, through its mapping and by its path", async (context) => {
  await requireKernel(context, "mount");
  const [file, ...others] = opensslFiles({ pid: process.pid, service: "node", executable: process.execPath });
  expect(others).toEqual([]);
  expect(file).toMatchObject({ path: process.execPath });
  expect(file?.reason).toBeUndefined();
  const inode = statSync(process.execPath).ino;
  expect(file?.links.map((link) => statSync(link).ino)).toEqual([inode, inode]);
});

test("none of a process that is gone, of one that has no program, and of another program", () => {
  expect(opensslFiles({ pid: 2 ** 22 + 1, service: "gone", executable: "/bin/true" })).toEqual([]);
  expect(opensslFiles({ pid: process.pid, service: "node", executable: "/bin/true" })).toEqual([]);
});

test.each([
  ["ext4", undefined],
  ["overlay", undefined],
  ["fuse.sshfs", "/l is on a file system that may hang (fuse.sshfs)"],
  ["nfs4", "/l is on a file system that may hang (nfs4)"],
  [undefined, "/l is on a file system that is not mounted any more"],
])("on %s", (type, reason) => expect(refusal("/l", type)?.reason).toBe(reason));
