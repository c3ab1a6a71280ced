/* The page's scripts and a chapter's simulation in Node, without a page. */

import {readFileSync} from "node:fs";
import {createRequire} from "node:module";
import {fileURLToPath} from "node:url";
import vm from "node:vm";

const ROOT = new URL("../../", import.meta.url);
const require = createRequire(import.meta.url);

export const Patchwork = require(fileURLToPath(new URL("patchwork/ui/static/kit.js", ROOT)));
for (const name of ["pad", "quiz", "llava", "trace"]) require(fileURLToPath(new URL(`patchwork/ui/static/${name}.js`, ROOT)));

/* The page's head says this too. */
globalThis.PATCHWORK = {llava: JSON.parse(readFileSync(new URL("patchwork/tiny/weights/llava/config.json", ROOT), "utf8"))};

/* Runs the script as the page does, in a scope of its own; returns what it registered. */
export const loadSimulation = (folder) => {
  const known = new Set(Object.keys(Patchwork.simulations));
  const code = readFileSync(new URL(`lessons/${folder}/simulation.js`, ROOT), "utf8");
  vm.runInThisContext(`(() => {${code}\n})()`, {filename: `${folder}/simulation.js`});
  const id = Object.keys(Patchwork.simulations).find((one) => !known.has(one));
  return {id, ...Patchwork.simulations[id]};
};
