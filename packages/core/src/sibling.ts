/** The URL of a module beside the caller's, `.ts` in a checkout's sources and `.js` when compiled: for worker threads. */
export function siblingModule(name: string, importMetaUrl: string): URL {
  return new URL(`./${name}${importMetaUrl.endsWith(".ts") ? ".ts" : ".js"}`, importMetaUrl);
}
