import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import t from 'tap'
import { hashKey, keyFor } from '../../src/core/api-key.ts'
import { rotateKey, revokeKeys } from '../../src/operate/keys.ts'
import { addKey, build, folder, redisUrl, type Built } from '../support/app.ts'

/** What a key gets for a tool, in either header. */
async function status ({ app }: Built, header: 'x-api-key' | 'authorization', key: string, name = 'echo'): Promise<string> {
  const response = await app.inject({
    method: 'POST',
    url: '/mcp',
    headers: {
      host: 'localhost:3000',
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      [header]: header === 'authorization' ? `Bearer ${key}` : key
    },
    payload: { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: { text: 'a' } } }
  })
  return response.statusCode === 200 && response.body.includes('Access denied') ? 'denied' : String(response.statusCode)
}

const both = async (built: Built, key: string, name?: string) => [await status(built, 'x-api-key', key, name), await status(built, 'authorization', key, name)]

t.test('a plain key is one key in either header, however many dots it has', async t => {
  const keys = ['team.alpha.0123456789abcdef0123456789', 'eyJ.alpha.0123456789abcdef0123456789', 'a.b.c.d.0123456789abcdef0123456789', 'eyJhIjoxfQ.eyJhIjoxfQ.0123456789abcdef0123456789', 'ends.in.dots.0123456789abcdef...']
  const dir = folder(t)
  const file = join(dir, 'keys.json')
  writeFileSync(file, JSON.stringify({ api_keys: Object.fromEntries(keys.map((key, i) => [`k${i}`, key])) }))
  const built = await build(t, { env: { API_KEYS_FILE: file, OAUTH2_AUTH_SERVER: 'http://127.0.0.1:1' } })
  for (const key of keys) t.same(await both(built, key), ['200', '200'], key)
})

for (const backend of ['the key file', 'Redis']) {
  const env = (): Record<string, string> => backend === 'Redis' ? { REDIS_URL: redisUrl } : {}

  t.test(`the key of the environment is what its record in ${backend} says`, async t => {
    const prefix = { REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, API_KEYS_FILE: join(folder(t), 'keys.json') }
    const first = await build(t, { env: { ...env(), ...prefix } })
    const { key, record } = await addKey(first.store, { permissions: ['get_*'] })

    const built = await build(t, { env: { ...env(), ...prefix, MCP_API_KEY: key } })
    t.same(await both(built, key), ['denied', 'denied'], 'restricted')
    t.same(await both(built, key, 'get_time'), ['200', '200'])
    t.same((await built.store.listKeys()).map(({ id }) => id), [record.id], 'there is no key default beside it')

    // The old one runs out at once, and its id is known all the same.
    await rotateKey(built.store, record.id, { overlapMs: 0, endPrevious: false })
    await rotateKey(built.store, record.id, { overlapMs: 0, endPrevious: false })
    await new Promise(resolve => setTimeout(resolve, 600))
    t.same(await both(built, key, 'get_time'), ['401', '401'], 'rotated away')
  })

  t.test(`a revoked key of ${backend} in the environment is refused`, async t => {
    const prefix = { REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, API_KEYS_FILE: join(folder(t), 'keys.json') }
    const first = await build(t, { env: { ...env(), ...prefix } })
    const { key, record } = await addKey(first.store)
    await revokeKeys(first.store, [record.id])
    t.same(await both(await build(t, { env: { ...env(), ...prefix, MCP_API_KEY: key } }), key), ['401', '401'])
  })

  t.test(`a key that ${backend} does not know is default, until somebody revokes it`, async t => {
    const built = await build(t, { env: { ...env(), API_KEYS_FILE: join(folder(t), 'keys.json'), MCP_API_KEY: 'sk-a-key-of-the-environment-0123' } })
    const key = 'sk-a-key-of-the-environment-0123'
    t.same(await both(built, key), ['200', '200'])
    await revokeKeys(built.store, ['default'])
    await new Promise(resolve => setTimeout(resolve, 600))
    t.same(await both(built, key), ['401', '401'])
  })
}

t.test('a made key whose id the file knows is no key default, whatever else it is', async t => {
  const file = join(folder(t), 'config/keys.json')
  mkdirSync(dirname(file))
  const old = keyFor('abcdefghij')
  writeFileSync(file, JSON.stringify({
    api_keys: { ada: `sha256:${hashKey(keyFor('abcdefghij'))}` },
    key_records: { ada: { id: 'abcdefghij', role: 'caller', created: 1 } }
  }))
  const built = await build(t, { env: { API_KEYS_FILE: file, MCP_API_KEY: old } })
  t.same(await both(built, old), ['401', '401'])
})
