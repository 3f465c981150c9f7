import { expect, test } from "vitest";
import type { FlowProcess } from "../flow.ts";
import { commentOf } from "./comment.ts";

const process: FlowProcess = {
  pid: 4711,
  comm: "curl",
  executable: "/usr/bin/curl",
  cgroup: null,
  unit: null,
  container: null,
};
const server = { ...process, pid: 80, comm: "nginx", unit: "nginx.service", container: "0123456789ab" };

test.each([
  [null, null, undefined, "forwarded"],
  [process, null, undefined, "from curl (pid 4711); forwarded"],
  [null, server, undefined, "to nginx (pid 80, unit nginx.service, container 0123456789ab); forwarded"],
  [process, process, "NO_SOCKET", "from curl (pid 4711) to curl (pid 4711); dropped: NO_SOCKET"],
])("%#: what the comment says", (sender, receiver, dropped, expected) => {
  expect(commentOf({ sender, receiver, dropped })).toBe(expected);
});

test("a hostile name is text", () => {
  const sender = { ...process, comm: "a\u001b[31m\n\u202eb\0" };
  expect(commentOf({ sender, receiver: null, dropped: undefined })).toBe(
    "from a\ufffd[31m\ufffd\ufffdb\ufffd (pid 4711); forwarded",
  );
});
