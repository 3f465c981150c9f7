/** The folder that holds the console's built pages: `index.html` and the files that it names. */
export const consoleFiles: URL = new URL("../dist/site/", import.meta.url);
