// `npm run docs` writes what follows from the code: docs/configuration.md from the settings' schema, docs/errors.md from the table of
// refusals, the tables of rooms and alerts, what Grafana and Prometheus load, and what is published beside the package, with its version.
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { properties, type wanted } from '../src/settings/load.ts'
import { NOT_OPTIONS, optionOf } from '../src/settings/options.ts'
import { artefacts } from './artefacts.ts'
import { ERRORS } from '../src/errors.ts'
import { alertsTable, prometheusRule } from './alerts.ts'
import { dashboard } from './dashboard.ts'
import { roomsTable } from '../test/support/rooms.ts'

/** The generated pages, by path. */
export function pages (): Record<string, string> {
  return {
    'docs/configuration.md': configuration(),
    'docs/errors.md': errors(),
    'docs/architecture.md': architecture(),
    'docs/operations.md': operations(),
    'k8s/components/dashboard/secure-mcp-server.json': dashboard(),
    'k8s/components/alerts/prometheus-rule.yaml': prometheusRule(),
    ...artefacts()
  }
}

function configuration (): string {
  const rows = Object.entries(properties).map(([name, schema]) => {
    const { default: value, description } = schema
    const option = Object.hasOwn(NOT_OPTIONS, name) ? '' : `\`${optionOf(name)}\``
    return `| \`${name}\` | ${value === undefined ? '' : `\`${String(value)}\``} | ${allowed(schema)} | ${option} | ${description} |`
  })
  return `# Configuration

Set these in the environment, or in the encrypted file (\`npx secure-mcp-server config set\`); the environment wins. \`<NAME>_FILE\`
names a file that holds the value of \`<NAME>\`, as orchestrators mount secrets; \`<NAME>\` and \`<NAME>_FILE\` together are refused.

A wrong, empty or contradicting setting stops the start with exit code 2. The message names every problem at once and prints no value.
A name that looks like a setting but is none is a warning with the nearest real name, so that an older release starts with the settings
of a newer one. Switches take \`true\` or \`false\`, also \`yes\`, \`no\`, \`on\`, \`off\`, \`1\` and \`0\`.

The column "option" is the name of the setting in [the Fastify plugin](fastify.md); empty where it belongs to the listener or the process.

This page is generated from \`src/settings/schema.ts\`.

| name | default | allowed | option | meaning |
|---|---|---|---|---|
${rows.join('\n')}
`
}

/** Numbers with their range and unit, and choices; texts say it in their meaning. */
function allowed (schema: Parameters<typeof wanted>[0]): string {
  const { minimum, maximum, unit } = schema
  if (maximum !== undefined) return `${minimum} to ${maximum}${unit === undefined ? '' : ` ${unit}`}`
  if (schema.type === 'boolean') return '`true`, `false`'
  return schema.enum === undefined ? '' : schema.enum.map(value => `\`${String(value)}\``).join(', ')
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

/** The page as it is written by hand, with the table of rooms made anew. */
function architecture (): string {
  const page = readFileSync('docs/architecture.md', 'utf8')
  return page.replace(/\| room \| holds \|[^]*?\n(?=\n|$)/, roomsTable())
}

/** The same with the table of alerts. */
function operations (): string {
  const page = readFileSync('docs/operations.md', 'utf8')
  return page.replace(/\| alert \| expression \|[^]*?\n(?=\n|$)/, () => alertsTable())
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [path, text] of Object.entries(pages())) writeFileSync(path, text)
}
