import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { newKey } from '../../src/secrets/keys.ts'
import { getValue, type SecureConfig } from '../../src/secrets/secure-config.ts'
import { readKeyFile } from '../../src/state/memory/key-file.ts'
import { folder } from '../support/app.ts'

const DIST = join(import.meta.dirname, '../../dist/src')

/** Writes for ever, and says what is on disk. The parent kills it. */
const WRITER = `
import { openKeyFile } from '${DIST}/state/memory/key-file.js'
import { setValue } from '${DIST}/secrets/secure-config.js'
import { hashKey, makeKey } from '${DIST}/core/api-key.js'
const [keysPath, file, keyFile, round] = process.argv.slice(2)
const keys = process.env.WRITER_KEYS
const store = openKeyFile({ path: keysPath, warn () {} })
for (let i = 0; ; i++) {
  const { id, key } = makeKey()
  await store.save({ id, name: 'n' + round + '-' + i, role: 'caller', permissions: ['*'], hash: hashKey(key), created: 1 })
  process.stdout.write('key ' + id + '\\n')
  const value = round + '-' + i
  await setValue({ file, keyFile, keys }, 'v', value)
  process.stdout.write('value ' + value + '\\n')
}
`

/** Each kill costs the start of a process: 200 are for when this is what is looked at. */
const KILLS = Number(process.env.KILLS ?? 32)

t.test(`nothing that was acknowledged is lost when the writer is killed ${KILLS} times`, async t => {
  const each = KILLS / 4
  t.same(await Promise.all(Array.from({ length: 4 }, () => killRepeatedly(t, each))), [each, each, each, each])
})

/** @returns how often a writer was killed with nothing lost */
async function killRepeatedly (t: Test, times: number): Promise<number> {
  const dir = folder(t)
  const script = join(dir, 'writer.mjs')
  writeFileSync(script, WRITER)
  const keys = join(dir, 'api_keys.json')
  const config: SecureConfig = { file: join(dir, 'secure_config.json'), keyFile: join(dir, 'encryption.key'), keys: newKey() }
  const acknowledged = new Set<string>()
  let told: readonly [number, number] = [-1, 0]

  const round = async (number: number) => {
    const child = spawn(process.execPath, [script, keys, config.file, config.keyFile, String(number)], {
      stdio: ['ignore', 'pipe', 'ignore'], env: { PATH: process.env.PATH, WRITER_KEYS: config.keys } // without the coverage that tap would have it keep
    })
    const said = createInterface({ input: child.stdout })
    let heard = false
    said.on('line', line => {
      const [what, which] = line.split(' ') as [string, string]
      if (what === 'key') acknowledged.add(which)
      else told = pairOf(which)
      if (!heard) setTimeout(() => child.kill('SIGKILL'), Math.random() * 20)
      heard = true
    })
    t.teardown(() => child.kill('SIGKILL'))
    const ended = once(said, 'close')
    await once(child, 'exit')
    await ended
    return heard
  }

  for (let i = 0; i < times; i++) {
    if (!await round(i)) throw new Error('the writer ended by itself')
    const found = new Set(readKeyFile(readFileSync(keys, 'utf8'), keys).records.map(({ id }) => id))
    for (const id of acknowledged) if (!found.has(id)) throw new Error(`round ${i}: a key is lost`)
    // The value may be one that was written but not yet told.
    const kept = getValue(config, 'v')
    const [keptRound, keptNumber] = kept === undefined ? [-1, 0] : pairOf(kept)
    if (keptRound < told[0] || (keptRound === told[0] && keptNumber < told[1])) throw new Error(`round ${i}: ${kept} stands where ${told.join('-')} was acknowledged`)
    // Hundreds of keys make each write slower, which is not what this looks at.
    if (found.size > 300) {
      writeFileSync(keys, '{}')
      acknowledged.clear()
    }
  }
  return times
}

function pairOf (text: string): readonly [number, number] {
  const [round, number] = text.split('-').map(Number)
  return [round!, number!]
}
