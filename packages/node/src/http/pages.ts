/** The two pages that the agent writes itself. They need no script and no style sheet, so the strict CSP holds. */

export function signInPage(tokenFile: string): string {
  return page(
    "x0tta6bl4: token needed",
    `<p>This page needs the agent's token. Open the URL that <code>x0 up</code> printed, or take the token from
<code>${escapeHtml(tokenFile)}</code> and open <code>/?token=TOKEN</code>.</p>`,
  );
}

export function unbuiltPage(): string {
  return page(
    "x0tta6bl4: console not built",
    `<p>The agent runs, but its console has not been built. In a checkout run <code>npm run build</code>, then
reload. The API answers under <a href="/api/v1/health">/api/v1/health</a>.</p>`,
  );
}

function page(title: string, body: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>${title}</title></head>
<body><h1>${title}</h1>
${body}
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
