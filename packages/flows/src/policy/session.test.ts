import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { sshSession } from "./session.ts";

const line = "192.0.2.7 50022 10.0.0.1 22";
const session = {
  protocol: 6,
  source: { ip: "192.0.2.7", port: 50_022 },
  destination: { ip: "10.0.0.1", port: 22 },
};

test("OpenSSH says over which connection a program was started", () => {
  expect(sshSession({ SSH_CONNECTION: line }, 1)).toEqual(session);
  expect(sshSession({ SSH_CONNECTION: "fe80::1%eth0 1024 fe80::2%eth0 22" }, 1)).toMatchObject({
    source: { ip: "fe80::1", port: 1024 },
    destination: { ip: "fe80::2" },
  });
});

test.each([
  "",
  "192.0.2.7",
  `${line} more`,
  "host 1 10.0.0.1 22",
  "192.0.2.7 0 10.0.0.1 22",
  "192.0.2.7 x 10.0.0.1 22",
])("%j is no connection", (text) => {
  expect(sshSession({ SSH_CONNECTION: text }, 1)).toBeUndefined();
});

test("a program above this one knows it, where sudo took it away", async () => {
  // The shell is the login's; what it starts has lost the variable.
  const shell = spawn("sh", ["-c", "env -u SSH_CONNECTION sleep 1000 & echo $!; wait"], {
    env: { ...process.env, SSH_CONNECTION: line },
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [pid] = (await once(shell.stdout.setEncoding("utf8"), "data")) as [string];
  onTestFinished(() => {
    process.kill(Number(pid));
    shell.kill();
  });
  expect(sshSession({}, Number(pid))).toEqual(session);
});
