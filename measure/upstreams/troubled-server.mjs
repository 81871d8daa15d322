// A small server over stdio that is in trouble of its kind while a file is there: `troubled-server.mjs <kind> <file>`.
import { existsSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setImmediate as turn } from 'node:timers/promises'

const LOOK_MS = 100
const LIVES_MS = 1000
const HUGE_BYTES = 50_000_000
const MANY = 700

const [, , kind, file] = process.argv
const now = { inTrouble: false, flooded: 0 }

const schema = { type: 'object', properties: { text: { type: 'string', description: 'What is said again.' } }, required: ['text'] }
const toolNamed = name => ({ name, description: `${name} says again what it is told, and does nothing else.`, inputSchema: schema })
const say = message => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
const listChanged = () => say({ method: 'notifications/tools/list_changed' })

/** What begins with the trouble of a kind, and what ends with it. */
const KINDS = {
  well: {},
  frozen: {
    begin () {
      writeFileSync(`${file}.frozen`, String(process.pid))
      process.kill(process.pid, 'SIGSTOP')
    }
  },
  crashing: { begin () { setTimeout(() => { if (now.inTrouble) process.exit(1) }, LIVES_MS) } },
  huge: {},
  many: { begin: listChanged, end: listChanged },
  flooding: {
    begin () { flood().catch(error => { throw error }) },
    end () { writeFileSync(`${file}.flooded`, String(now.flooded)) }
  }
}

async function flood () {
  const said = ['notifications/message', 'notifications/tools/list_changed'].map(method =>
    `${JSON.stringify({ jsonrpc: '2.0', method, params: { level: 'info', data: 'x'.repeat(100) } })}\n`)
  const lines = said.join('').repeat(50)
  while (now.inTrouble) {
    now.flooded += 100
    await (process.stdout.write(lines) ? turn() : once(process.stdout, 'drain'))
  }
}

function sayHuge (id) {
  process.stdout.write(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":{"content":[{"type":"text","text":"`)
  process.stdout.write(Buffer.alloc(HUGE_BYTES, 'x'))
  process.stdout.write('"}]}}\n')
}

const ANSWERS = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities: { tools: { listChanged: true } }, serverInfo: { name: kind, version: '1' } }),
  'tools/list': () => ({ tools: [toolNamed('echo'), ...kind === 'many' && now.inTrouble ? Array.from({ length: MANY - 1 }, (_, i) => toolNamed(`echo${i}`)) : []] }),
  'tools/call': params => ({ content: [{ type: 'text', text: params.arguments.text }] }),
  ping: () => ({})
}

createInterface({ input: process.stdin }).on('line', line => {
  const { id, method, params } = JSON.parse(line)
  if (id === undefined) return
  if (kind === 'huge' && now.inTrouble && method === 'tools/call') return sayHuge(id)
  if (Object.hasOwn(ANSWERS, method)) say({ id, result: ANSWERS[method](params) })
  else say({ id, error: { code: -32601, message: 'Method not found' } })
}).once('close', () => process.exit(0))

function look () {
  const was = now.inTrouble
  now.inTrouble = existsSync(file)
  if (now.inTrouble !== was) KINDS[kind][now.inTrouble ? 'begin' : 'end']?.()
}
look()
setInterval(look, LOOK_MS)
