/**
 * The pages of the browser login: plain HTML without a script and without
 * anything from elsewhere, under a policy that would not let any in.
 */
import { createHash } from 'node:crypto'

const STYLE = `
:root { color-scheme: light dark; --ink: #1d2433; --soft: #5b6478; --line: #d9dee8; --paper: #fff; --ground: #f3f5f9;
  --accent: #2756c5; --good: #1d7a46; --bad: #b3261e }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf2; --soft: #a2abbe; --line: #343c4d; --paper: #1b2130;
  --ground: #12161f; --accent: #8fb0ff; --good: #6fcf97; --bad: #ff8a80 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, sans-serif }
main { max-width: 44rem; margin: 8vh auto; padding: 2rem 2.25rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 14px }
h1 { margin: 0 0 .25rem; font-size: 1.45rem; line-height: 1.25 }
h2 { margin: 1.75rem 0 .5rem; font-size: 1rem }
p { margin: .35rem 0; color: var(--soft) }
.mark { font-weight: 600; color: var(--good) } .bad { color: var(--bad) }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .35rem 1.25rem; margin: 1.25rem 0 0 }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
code, pre { font: 13px/1.5 ui-monospace, monospace }
dd code { display: inline-block; margin: 0 .35rem .25rem 0; padding: .05rem .5rem; border: 1px solid var(--line);
  border-radius: 999px }
pre { margin: 0; padding: .9rem 1rem; background: var(--ground); border: 1px solid var(--line); border-radius: 8px;
  white-space: pre-wrap; overflow-wrap: anywhere; user-select: all }
details { margin-top: 1.75rem; border-top: 1px solid var(--line); padding-top: 1rem }
summary { cursor: pointer; color: var(--accent); font-weight: 600 }
details p { margin: .6rem 0 }
a { color: var(--accent) }
`

/** Everything that these pages may load or do: their own style. */
export const PAGE_POLICY = [
  "default-src 'none'",
  `style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`,
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
].join('; ')

export interface LoggedIn {
  /** Where clients connect. */
  readonly endpoint: string
  readonly token: string
  readonly scopes: readonly string[]
  /** ms since the epoch. */
  readonly expiresAt: number | undefined
  /** Who this server takes the token for; undefined where it refuses it. */
  readonly subject: string | undefined
}

/** What the person came for: what the token allows, how to use it, and the token itself for whoever asks. */
export function loggedInPage ({ endpoint, token, scopes, expiresAt, subject }: LoggedIn): string {
  const ends =
    expiresAt === undefined
      ? 'the authorization server did not say'
      : new Date(expiresAt).toISOString().replace('T', ' ').slice(0, 16) + ' UTC'
  const standing = subject === undefined
    ? '<p class="mark bad">This server would refuse the token. Its log says why; the usual cause is the audience.</p>'
    : `<p><span class="mark">Logged in</span> as <b>${safe(subject)}</b></p>`
  const curl = [
    `curl -s ${endpoint} \\`,
    `  -H 'Authorization: Bearer ${token}' \\`,
    "  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\",
    '  -d \'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}\''
  ].join('\n')
  return page(
    'Logged in',
    `
<h1>secure-mcp-server</h1>
${standing}
<dl>
<dt>Scopes</dt><dd>${scopes.length === 0 ? 'none of this server' : scopes.map(scope => `<code>${safe(scope)}</code>`).join('')}</dd>
<dt>Valid until</dt><dd>${safe(ends)}</dd>
</dl>
<h2>In a client that logs in by itself</h2>
<p>Most clients need the address alone, and find the rest.</p>
<pre>${safe(JSON.stringify({ mcpServers: { 'secure-mcp': { type: 'http', url: endpoint } } }, null, 2))}</pre>
<details>
<summary>Show the token</summary>
<p>Whoever has it may do what you may, until it ends. A click selects all of a box.</p>
<pre id="token">${safe(token)}</pre>
<h2>Try it</h2>
<pre>${safe(curl)}</pre>
</details>`
  )
}

/** Something went wrong, in words for a person. */
export function problemPage (problem: string, remedy: string): string {
  return page('Not logged in', `
<h1>secure-mcp-server</h1>
<p class="mark bad">You are not logged in.</p>
<p>${safe(problem)}</p>
<p>${safe(remedy)}</p>
<p><a href="login">Try again</a></p>`)
}

function page (title: string, content: string): string {
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${title} · secure-mcp-server</title><style>${STYLE}</style></head>
<body><main>${content}
</main></body>
</html>
`
}

function safe (text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}
