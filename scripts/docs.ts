// Writes docs/configuration.md from the settings' schema and docs/errors.md from the table of refusals: npm run docs.
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { Settings } from '../src/settings/schema.ts'
import { ERRORS } from '../src/errors.ts'

/** Both pages, by path. */
export function pages (): Record<string, string> {
  return { 'docs/configuration.md': configuration(), 'docs/errors.md': errors() }
}

interface Property { default?: unknown, description?: string, minimum?: number, maximum?: number }

function configuration (): string {
  const rows = Object.entries(Settings.properties as Record<string, Property>).map(([name, { default: value, description, minimum, maximum }]) =>
    `| \`${name}\` | ${value === undefined ? '' : `\`${value}\``} | ${description}${maximum === undefined ? '' : ` ${minimum} to ${maximum}.`} |`)
  return `# Configuration

Settings come from the environment, or from the encrypted file (\`secure-mcp config set\`); the environment wins. \`<NAME>_FILE\` names
a file that holds the value of \`<NAME>\`, as orchestrators mount secrets. A wrong setting stops the start with code 2; every problem is
named at once, and no value is printed.

This page is generated from \`src/settings/schema.ts\`.

| name | default | meaning |
|---|---|---|
${rows.join('\n')}
`
}

function errors (): string {
  const rows = Object.entries(ERRORS).map(([reason, { http, rpc, as, means }]: [string, { http: number, rpc: number, as?: string, means: string }]) => `| \`${reason}\` | ${http} | ${as ?? rpc} | ${means} |`)
  return `# Refusals

Every body on \`/mcp\` is JSON-RPC, whatever failed. \`error.data.reason\` holds the word below; \`error.code\` is the HTTP status for
refusals of this service, which is outside the ranges that JSON-RPC and MCP reserve. Where the column "code" says \`result\`, the refusal
comes as a result with \`isError\`, so that the model reads it: "Access denied", "Security validation failed", "Invalid arguments: …".

The request line of the log (\`decision\`, and \`rule\` for what decided) and the metric \`mcp_requests_total{decision}\` name the same word.

This page is generated from \`src/errors.ts\`.

| reason | HTTP | code | what it means, what to do |
|---|---|---|---|
${rows.join('\n')}
`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [path, text] of Object.entries(pages())) writeFileSync(path, text)
}
