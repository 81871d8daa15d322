/** A server over HTTP that writes down each call before it answers: `counting-server.ts <port> <file>`. */
import { appendFileSync } from 'node:fs'
import { text, tool } from '../../test/support/scripted-upstream.ts'
import { startHttpUpstream } from '../../test/support/upstream-http.ts'

const [port, file] = process.argv.slice(2)
const count = tool('count', ({ params }) => {
  const n = String((params.arguments as { n?: unknown }).n)
  appendFileSync(file!, `${n}\n`)
  return text(n)
}, { inputSchema: { type: 'object', properties: { n: { type: 'string' } } } })
await startHttpUpstream({ teardown () {} }, { port: Number(port), tools: [count] })
