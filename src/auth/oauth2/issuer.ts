/** One authorization server that is trusted: its name, and what it publishes. */
import { discover, type Metadata } from './discovery.ts'
import { held, type Pace } from './held.ts'
import { jwks, JWKS_PACE, type Jwks } from './jwks.ts'

/** Metadata hardly ever changes; in trouble it is asked for once a minute. */
export const METADATA_PACE: Pace = { everyMs: 3_600_000, retryMs: 60_000, gapMs: 30_000, staleMs: Infinity, waitMs: 1000 }

export interface Issuer {
  readonly name: string
  /** @throws {Unreachable} */
  metadata (): Promise<Metadata>
  /** Undefined where a secret is configured instead. */
  readonly keys: Jwks | undefined
  close (): void
}

export interface IssuerOptions {
  name: string
  /** False where tokens are verified by a secret, or not here at all. */
  publicKeys: boolean
  metadataPace?: Pace
  jwksPace?: Pace
  /** Told of each change between well and in trouble. */
  onState?: (what: 'metadata' | 'keys', trouble: Error | undefined) => void
}

export function trustedIssuer ({ name, publicKeys, metadataPace = METADATA_PACE, jwksPace = JWKS_PACE, onState = () => {} }: IssuerOptions): Issuer {
  let known: string | undefined
  const metadata = held({
    pace: metadataPace,
    onState: trouble => onState('metadata', trouble),
    async fetch () {
      // Once found, always there: a server in trouble is asked one thing, not three.
      const { metadata, place } = await discover(name, known === undefined ? undefined : [known])
      known = place
      return metadata
    }
  })
  const keys = publicKeys
    ? jwks({ uri: async () => (await metadata.get()).jwksUri, pace: jwksPace, onState: trouble => onState('keys', trouble) })
    : undefined
  return {
    name,
    metadata: () => metadata.get(),
    keys,
    close () {
      metadata.close()
      keys?.close()
    }
  }
}
