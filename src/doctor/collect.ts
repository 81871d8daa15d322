/** Brings the facts that checks judge: of settings and files, of state, of keys and tools, of authorization servers. */
import { randomUUID } from 'node:crypto'
import { statSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Issuer } from '../auth/oauth2/issuer.ts'
import { readIfThere } from '../files.ts'
import { listKeys } from '../operate/keys.ts'
import type { Config } from '../settings/schema.ts'
import { readKeyFile } from '../state/memory/key-file.ts'
import type { Store } from '../state/store.ts'
import type { Catalogue } from '../tools/catalogue.ts'
import { spelled } from '../core/permissions.ts'
import type { FileFact, IssuerFact, KeyFacts, StateFacts } from './check.ts'

/** How long a message may take to be heard, ms. */
const HEAR_MS = 5000

/** @param named files by the setting that names them */
export function collectFiles (config: Config): FileFact[] {
  return (['API_KEYS_FILE', 'SECURE_CONFIG_FILE', 'CONFIG_ENCRYPTION_KEY_FILE'] as const).map(setting => {
    const path = config[setting]
    return { setting, path, mode: statSync(path, { throwIfNoEntry: false })?.mode }
  })
}

export async function collectKeys (config: Config, store: Store, catalogue: Catalogue): Promise<KeyFacts> {
  const text = readIfThere(config.API_KEYS_FILE, 'API_KEYS_FILE')
  const read = text === undefined
    ? undefined
    : readKeyFile(
      text, config.API_KEYS_FILE, { allowShort: config.ALLOW_SHORT_KEYS }
    )
  return {
    keys: await listKeys(store),
    fileWarnings: [...read?.problems ?? [], ...read?.warnings ?? []],
    offered: [
      ...catalogue.tools.keys(),
      ...[...catalogue.resources.keys(), ...catalogue.templates.keys()].map(uri => spelled('resource', uri)),
      ...[...catalogue.prompts.keys()].map(name => spelled('prompt', name))
    ],
    now: store.now()
  }
}

export async function collectState (config: Config, store: Store): Promise<StateFacts | { fault: string }> {
  try {
    const [diagnosis, missing, heardMs] = await Promise.all([store.diagnose(), store.missingKeys(), hearing(store)])
    return {
      ...diagnosis,
      kind: store.kind,
      health: store.health(),
      missing,
      heardMs,
      commandTimeoutMs: config.REDIS_COMMAND_TIMEOUT_MS,
      skewMs: config.OAUTH2_CLOCK_SKEW_MS
    }
  } catch (error) {
    const { message, cause } = error as Error
    return {
      fault: cause === undefined ? message : `${message}: ${cause instanceof Error ? cause.message : String(cause)}`
    }
  }
}

/** How long a message takes from publishing to hearing, ms. */
async function hearing (store: Store): Promise<number | undefined> {
  const topic = `doctor:${randomUUID()}`
  const heard: number[] = []
  const stop = store.bus.listen(topic, () => { heard.push(performance.now()) })
  const until = performance.now() + HEAR_MS
  try {
    // A subscription may take a moment: what was published before it is not heard.
    while (performance.now() < until) {
      const since = performance.now()
      await store.bus.publish(topic, '')
      for (let i = 0; i < 20 && heard.length === 0; i++) await sleep(5)
      if (heard[0] !== undefined) return heard[0] - since
    }
    return undefined
  } catch {
    return undefined
  } finally {
    stop()
  }
}

/** @param algorithms that tokens may be signed with */
export async function collectIssuers (
  issuers: readonly Issuer[], algorithms: readonly string[]
): Promise<IssuerFact[]> {
  return await Promise.all(issuers.map(async issuer => {
    const metadataFault = await issuer.metadata().then(() => undefined, (error: Error) => error.message)
    const usableKeys = metadataFault === undefined ? await issuer.keys?.usable(algorithms).catch(() => 0) : undefined
    return { issuer: issuer.name, metadataFault, usableKeys }
  }))
}
