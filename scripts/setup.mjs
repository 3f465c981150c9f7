/**
 * Prepares a checkout: installs what package-lock.json names, builds what changed, and sees that the commands
 * run on Node 24. `npm start` and `npm test` begin with it. Plain JavaScript for Node 20, without dependencies
 * and without git; speaks on stderr only, and says nothing where nothing is to be done.
 */
import { fileURLToPath } from "node:url";
import { build, isBuilt } from "./build.mjs";
import { checkNode, install, isInstalled, matchesLockfile, recover } from "./setup/install.mjs";
import { lock } from "./setup/lock.mjs";
import { becomeOwner } from "./setup/owner.mjs";
import { main, step } from "./setup/step.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));

main(() => {
  if (isInstalled(root) && isBuilt(root)) return;
  becomeOwner(root);
  lock(root);
  if (!isInstalled(root)) {
    recover(root);
    if (!matchesLockfile(root)) step("install packages", () => install(root));
    checkNode(root);
  }
  if (!isBuilt(root)) step("build", () => build(root));
});
