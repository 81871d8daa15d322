// Fills the state that a server is then measured with, in a process of its own: what filling leaves in the heap is no cost of serving.
// Told on standard input `{ env, hashes, keys, blocked }`: the settings, the hashes of keys that will be used, how many keys and blocked addresses in all.
import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { loadConfig } from '../../dist/src/settings/load.js'
import { createLog } from '../../dist/src/telemetry/log.js'
import { openStore } from '../../dist/src/state/open.js'

const { env, hashes, keys, blocked } = JSON.parse(readFileSync(0, 'utf8'))
// Patient where the service is not: a crowd of writes is not what is measured.
const config = { ...loadConfig(env), REDIS_COMMAND_TIMEOUT_MS: 10_000 }
const shared = config.REDIS_URL !== undefined

/** The secrets of most keys are never used: their hashes are all that is stored. */
function * allHashes () {
  yield * hashes
  for (let i = hashes.length; i < keys; i++) yield randomBytes(32).toString('hex')
}

if (!shared) writeFileSync(config.API_KEYS_FILE, JSON.stringify({ api_keys: Object.fromEntries(Array.from(allHashes(), (hash, i) => [`key-${i}`, `sha256:${hash}`])) }))
if (shared || blocked > 0) {
  const store = await openStore(config, createLog())
  const writes = []
  const write = async promise => { if (writes.push(promise) === 500) await Promise.all(writes.splice(0)) }
  let i = 0
  if (shared) for (const hash of allHashes()) await write(store.saveKey({ id: hash.slice(0, 10), name: `key-${i++}`, role: 'caller', permissions: ['*'], hash, created: Date.now() }))
  for (let i = 0; i < blocked; i++) await write(store.blocklist.set(`10.0.${i >> 8}.${i & 255}`, { since: Date.now(), until: Date.now() + 3_600_000 }))
  await Promise.all(writes)
  await store.close()
}
