/** Brings the facts that checks judge: of settings and files, of state, of keys and tools, of authorization servers. */
import { randomUUID } from 'node:crypto'
import { accessSync, constants, statfsSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Issuer } from '../auth/oauth2/issuer.ts'
import { readIfThere } from '../files.ts'
import { chainsOf, verifyRecords } from '../operate/audit.ts'
import { listKeys } from '../operate/keys.ts'
import { callReplicas } from '../operate/roll-call.ts'
import type { Config } from '../settings/schema.ts'
import { readKeyFile } from '../state/memory/key-file.ts'
import type { Store } from '../state/store.ts'
import type { UpstreamStatus } from '../upstreams/upstreams.ts'
import type { Catalogue } from '../tools/catalogue.ts'
import { spelled } from '../core/permissions.ts'
import type {
  FileFact, IssuerFact, KeyFacts, ProbeFact, ReplicaFacts, SpoolFacts, StateFacts, UpstreamFact
} from './check.ts'

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
    if (store.health() === 'unreachable') return { fault: 'Redis does not answer' }
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

const HOUR_MS = 3_600_000
/** Records that are verified at once, bytes; more is for `audit verify`. */
const MAX_VERIFIED = 256 * 2 ** 20
/** Types of file systems in memory (statfs(2)): tmpfs, ramfs. */
const IN_MEMORY: ReadonlySet<number> = new Set([0x01021994, 0x858458f6])

/** Undefined where no records are kept. */
export async function collectSpool (config: Config, now: number): Promise<SpoolFacts | undefined> {
  if (!config.AUDIT) return undefined
  const { AUDIT_DIR: folder, AUDIT_MAX_BYTES: maxBytes } = config
  const known = { folder, maxBytes, usedBytes: 0, freeBytes: 0, isVolatile: false, chains: [] }
  try {
    // The server makes it where it is not there yet.
    const there = nearestFolder(folder)
    accessSync(there, constants.W_OK)
    const { type, bavail, bsize } = statfsSync(there)
    const segments = [...chainsOf(folder).values()].flat()
    const usedBytes = segments.reduce((sum, { bytes }) => sum + bytes, 0)
    const chains = await recentChains(config, now)
    return { ...known, fault: undefined, usedBytes, freeBytes: bavail * bsize, isVolatile: IN_MEMORY.has(type), chains }
  } catch (error) {
    return { ...known, fault: (error as NodeJS.ErrnoException).code ?? (error as Error).message }
  }
}

/** The folder itself, or what it will be made in. @throws {NodeJS.ErrnoException} ENOTDIR */
function nearestFolder (folder: string): string {
  for (let path = resolve(folder); ; path = dirname(path)) {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return path
  }
}

async function recentChains (config: Config, now: number): Promise<SpoolFacts['chains']> {
  const recent = [...chainsOf(config.AUDIT_DIR).values()]
    .filter(segments => segments.some(({ changedMs }) => now - changedMs < HOUR_MS))
    .flat()
  const bytes = recent.reduce((sum, segment) => sum + segment.bytes, 0)
  if (recent.length === 0 || bytes > MAX_VERIFIED) return []
  const verdicts = await verifyRecords(config, { files: recent.map(({ path }) => path) })
  return verdicts.map(({ chain, fault, lost }) => ({
    chain, lost, fault: fault === undefined ? undefined : `${fault.file}, line ${fault.line}: ${fault.what}`
  }))
}

/** Undefined where state is not shared, or the call failed: that is told as a fault of Redis. */
export async function collectReplicas (config: Config, store: Store): Promise<ReplicaFacts | undefined> {
  if (store.kind === 'memory') return undefined
  const heard = await callReplicas(store.bus)
  return heard === undefined ? undefined : { heard, expected: config.REPLICAS }
}

/** How long the probe of this machine may take, ms. */
const PROBE_MS = 2000

/** Undefined where no server of these settings runs on this machine. */
export async function collectProbe ({ HOST, PORT }: Config): Promise<ProbeFact | undefined> {
  const host = HOST === '0.0.0.0' || HOST === '::' ? '127.0.0.1' : HOST
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${PORT}/readyz`
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(PROBE_MS), redirect: 'manual' })
    return { status: answer.status, body: (await answer.text()).slice(0, 256) }
  } catch {
    return undefined
  }
}

/** How upstreams are, as the running server sees them. */
export function upstreamFacts (
  statuses: ReadonlyArray<Pick<UpstreamStatus, 'name' | 'state' | 'trouble' | 'leftOut'>>
): UpstreamFact[] {
  return statuses.map(({ name, state, trouble, leftOut }) => ({
    name,
    isKnown: state === 'ready',
    trouble: trouble ?? (state === 'ready' ? undefined : state),
    held: leftOut.filter(({ why }) => why.includes('tools diff')).length
  }))
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
