/** The server card (SEP-2127): how clients and registries find out what stands at an endpoint before they connect. */
import type { Identity } from '../core/identity.ts'
import { MODERN_VERSION, SUPPORTED_PROTOCOL_VERSIONS } from './sdk/protocol.ts'

export interface CardOptions {
  readonly identity: Identity
  /** Of the endpoint. */
  readonly url: string
  /** A key goes into a header; OAuth2 is discovered. */
  readonly needsKey: boolean
}

const SCHEMA = 'https://static.modelcontextprotocol.io/schemas/v1/server-card.schema.json'
/** Longest description that the schema allows. */
const MAX_DESCRIPTION = 100

/** It lists no tools: what there is depends on who asks, and this is for everyone. */
export function serverCard ({ identity: { info }, url, needsKey }: CardOptions): object {
  const { name, version, title, description, icons } = info
  return {
    $schema: SCHEMA,
    name,
    version,
    description: description ?? (title ?? name).slice(0, MAX_DESCRIPTION),
    ...(title === undefined ? {} : { title }),
    ...(icons === undefined ? {} : { icons }),
    remotes: [{
      type: 'streamable-http',
      url,
      supportedProtocolVersions: [MODERN_VERSION, ...SUPPORTED_PROTOCOL_VERSIONS.filter(one => one !== MODERN_VERSION)],
      ...(needsKey ? { headers: [KEY_HEADER] } : {})
    }]
  }
}

const KEY_HEADER = {
  name: 'Authorization',
  description: '"Bearer", a blank, and an API key of this server',
  isRequired: true,
  isSecret: true
}
