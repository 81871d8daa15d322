/** How the server names itself, and how this product does. */
import { readFileSync } from 'node:fs'
import type { Identity } from '../core/identity.ts'
import type { Config } from './schema.ts'

/** package.json stands above src in the sources and above dist/src when built. */
const { name, version } =
  [new URL('../../package.json', import.meta.url), new URL('../../../package.json', import.meta.url)]
    .map(url => {
      try {
        return JSON.parse(readFileSync(url, 'utf8')) as { name?: string; version?: string }
      } catch {
        return {}
      }
    })
    .find(found => found.name === 'secure-mcp-server') ?? {}

/** This product: what `--version`, the log and metrics tell, whatever the server is called. */
export const PRODUCT = { name: name ?? 'secure-mcp-server', version: version ?? '0.0.0' }

/** What clients are told. Absent members are left out: one that is undefined is no member for the SDK. */
export function identityFromSettings (config: Config): Identity {
  const {
    SERVER_NAME: name, SERVER_TITLE: title, SERVER_VERSION: version = PRODUCT.version,
    SERVER_DESCRIPTION: description, SERVER_ICONS: icons
  } = config
  return {
    info: {
      name,
      version,
      ...(title === undefined ? {} : { title }),
      ...(description === undefined ? {} : { description }),
      ...(icons.length === 0 ? {} : { icons })
    },
    instructions: config.SERVER_INSTRUCTIONS
  }
}
