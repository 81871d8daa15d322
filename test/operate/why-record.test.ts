/** Why a request was refused then, asked with nothing but the id in its answer. */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { folder, redisUrl } from '../support/app.ts'
import { secureMcp, startServer } from '../support/processes.ts'
import { until } from '../support/until.ts'

const HEADERS = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }

async function refusedCall (url: string, key: string): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...HEADERS, authorization: `Bearer ${key}` },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: 'x' } } })
  })
  await response.arrayBuffer()
  return response.headers.get('x-request-id')!
}

t.test('a refusal is explained from a machine that has no file of the replica, and from the folder without Redis', async t => {
  const shared = { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, STATE_SECRET: randomBytes(32).toString('base64url') }
  const elsewhere = folder(t)
  for (const env of [shared, {}]) {
    const cwd = folder(t)
    const made = await secureMcp(['keys', 'create', 'ci', '--allow', 'get_*'], { cwd, env })
    const { url } = await startServer(t, { cwd, env })
    const id = await refusedCall(url, made.out.trim())
    const ask = async () => await secureMcp(['why', '--record', id], { cwd: 'REDIS_URL' in env ? elsewhere : cwd, env })
    await until(async () => (await ask()).code === 0)
    const { out } = await ask()
    t.match(out, /^At \d{4}-.*:\nkey:\w+ was refused echo: ACCESS_DENIED by permission, no pattern\n/)
    t.match(out, 'To mend it: ')
    t.notMatch(out, 'is another one now')

    await secureMcp(['keys', 'change', 'ci', '--allow', 'echo'], { cwd, env })
    t.match((await ask()).out, /The policy of this key is another one now. Ask it: .* why --key \w+ --tool 'echo'/)
    t.match(JSON.parse((await secureMcp(['why', '--record', id, '--json'], { cwd, env })).out), { decision: 'ACCESS_DENIED', recorded: { policyChanged: true } })
    t.match(await secureMcp(['why', '--record', 'nobody-1'], { cwd, env }), { code: 2, err: /There is no record of "nobody-1"/ })
    t.match(await secureMcp(['why', '--record', id, '--key', 'ci'], { cwd, env }), { code: 2 })
  }
})
