// Writes docs/configuration.md from the settings' schema and docs/errors.md from the table of refusals: npm run docs.
import { writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

/** Both pages, by path. */
export async function pages () {
  const { Settings } = await import('../dist/src/config.js')
  const { ERRORS } = await import('../dist/src/errors.js')
  return { 'docs/configuration.md': configuration(Settings), 'docs/errors.md': errors(ERRORS) }
}

function configuration ({ properties }) {
  const rows = Object.entries(properties).map(([name, { default: value, description, minimum, maximum }]) =>
    `| \`${name}\` | ${value === undefined ? '' : `\`${value}\``} | ${description}${maximum === undefined ? '' : ` ${minimum} to ${maximum}.`} |`)
  return `# Configuration

Settings come from the environment, or from the encrypted file (\`secure-mcp config set\`); the environment wins. \`<NAME>_FILE\` names
a file that holds the value of \`<NAME>\`, as orchestrators mount secrets. A wrong setting stops the start with code 2; every problem is
named at once, and no value is printed.

This page is generated from \`src/config.ts\`.

| name | default | meaning |
|---|---|---|
${rows.join('\n')}
`
}

const MEANING = {
  ADDRESS_BLOCKED: 'The address is on the blocklist: `secure-mcp ip list`.',
  ORIGIN_REFUSED: 'The Host or Origin is not one of `ALLOWED_HOSTS`, `ALLOWED_ORIGINS`.',
  TOO_LARGE: 'The body is longer than `MAX_REQUEST_BYTES`.',
  PARSE_ERROR: 'The body is not JSON.',
  UNSUPPORTED_MEDIA_TYPE: 'The content type must be `application/json`.',
  INVALID_REQUEST: 'A batch, a duplicate or wrongly-cased protocol key, a second Host header, or a form that JSON-RPC or MCP does not know.',
  INVALID_PARAMS: 'The tool, resource or prompt is permitted but does not exist, or parameters are missing.',
  HEADER_MISMATCH: 'A header says something else than the body, or is missing: `Mcp-Method`, `Mcp-Name` and `Mcp-Param-*` repeat what the body holds.',
  MALFORMED_CREDENTIAL: 'Two credentials at once, or a header that is none: send one of `Authorization` and `X-API-Key`.',
  AUTHENTICATION_REQUIRED: 'No credential came.',
  INVALID_CREDENTIAL: 'The credential is unknown, expired, revoked, or made for something else. The log says which.',
  INSUFFICIENT_SCOPE: 'The token lacks a scope; `WWW-Authenticate` names all that the call needs.',
  FORBIDDEN: 'The credential may not do this: a caller key on a management route, or an operator key that calls a tool.',
  NOT_FOUND: 'There is no such path.',
  SESSION_NOT_FOUND: 'The session is unknown, over, or another principal\'s: initialize again.',
  METHOD_NOT_ALLOWED: 'This path knows other methods.',
  CONFLICT: 'A session has one stream at a time.',
  RATE_LIMITED: 'Over the limit; `data.retryAfterMs` and `Retry-After` say when to come back. Refused calls are not counted.',
  TOO_MANY_FAILURES: 'Too many failed credentials from this address; valid ones go on working.',
  TOO_MANY_SESSIONS: 'End a session, or raise `MAX_SESSIONS_PER_PRINCIPAL`.',
  TOO_MANY_STREAMS: 'Close a stream, or raise `MAX_STREAMS_PER_PRINCIPAL`.',
  STATE_UNAVAILABLE: 'Redis is out of reach or lost what it held: try again after `Retry-After`.',
  OVERLOADED: 'Too many requests in flight: try again after `Retry-After`.',
  DRAINING: 'This replica is ending: try again, another will answer.',
  INTERNAL: 'A fault of the service. The log has the cause under the same request id.'
}

function errors (table) {
  const rows = Object.entries(table).map(([reason, { http, rpc }]) => {
    if (MEANING[reason] === undefined) throw new Error(`scripts/docs.mjs: say what ${reason} means`)
    return `| \`${reason}\` | ${http} | ${rpc} | ${MEANING[reason]} |`
  })
  return `# Refusals

Every body on \`/mcp\` is JSON-RPC, whatever failed. \`error.data.reason\` holds the word below; \`error.code\` is the HTTP status for
refusals of this service, which is outside the ranges that JSON-RPC and MCP reserve. What a tool call is refused for by permission,
by inspection or by its schema comes as a result with \`isError\`, so that the model reads it: "Access denied", "Security validation failed", "Invalid arguments: …".

The status, code and word of each come from \`src/errors.ts\`.

| reason | HTTP | code | what it means, what to do |
|---|---|---|---|
${rows.join('\n')}
`
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const [path, text] of Object.entries(await pages())) writeFileSync(path, text)
}
