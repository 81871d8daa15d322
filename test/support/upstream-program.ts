/** A scripted server as a program: lines in, lines out. `UPSTREAM_ERA` and `UPSTREAM_STATELESS` say how. */
import { createInterface } from 'node:readline'
import { ScriptedUpstream, text, tool, TOOLS, type Received } from './scripted-upstream.ts'

const era = process.env.UPSTREAM_ERA === 'modern' ? 'modern' : 'legacy'
const server = new ScriptedUpstream({
  era,
  tools: [...TOOLS, tool('environment', () => text(JSON.stringify(process.env))), tool('pid', () => text(String(process.pid)))]
})
if (process.env.UPSTREAM_BANNER !== undefined) process.stdout.write(`${process.env.UPSTREAM_BANNER}\n\n[log] ready\n`)
createInterface({ input: process.stdin }).on('line', line => {
  server.receive(JSON.parse(line) as Received, said => { process.stdout.write(said + '\n') }).catch(error => { throw error })
}).on('close', () => process.exit(0))
