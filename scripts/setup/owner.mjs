/**
 * Root in another user's clone (`sudo npm start`) must not leave files there that the user cannot replace:
 * the whole process becomes the owner before it writes anything.
 */
import { accessSync, constants, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** What npm tells its children about root's own places. */
const placesOfRoot = /^(npm_config_(cache|userconfig|globalconfig|prefix|init_module)|XDG_.*|SUDO_.*)$/i;

/** Changes user, group and environment to those of the owner of `root`, for good. No-op unless root is somebody else's. */
export function becomeOwner(root) {
  const { uid, gid } = statSync(root);
  if (process.geteuid?.() !== 0 || uid === 0) return;
  // A folder that its owner cannot reach (below /root, or an id that this container does not map) stays root's business.
  if (!canWriteAs(uid, gid, root)) return;
  const account = accountOf(uid);
  process.setgroups([]);
  process.setgid(account?.gid ?? gid);
  process.setuid(uid);
  for (const name of Object.keys(process.env)) if (placesOfRoot.test(name)) delete process.env[name];
  process.env.HOME = writable(account?.home) ? account.home : join(root, ".cache", "home");
  process.env.USER = process.env.LOGNAME = account?.name ?? String(uid);
}

function canWriteAs(uid, gid, root) {
  try {
    process.setegid(gid);
    process.seteuid(uid);
    mkdirSync(join(root, ".cache"), { recursive: true });
    return true;
  } catch {
    return false;
  } finally {
    process.seteuid(0);
    process.setegid(0);
  }
}

function accountOf(uid) {
  for (const line of readFileSync("/etc/passwd", "utf8").split("\n")) {
    const [name, , id, gid, , home] = line.split(":");
    if (Number(id) === uid && id !== "" && home !== undefined) return { name, gid: Number(gid), home };
  }
  return undefined;
}

function writable(folder) {
  try {
    accessSync(folder, constants.W_OK);
    return true;
  } catch {
    return false;
  }
}
