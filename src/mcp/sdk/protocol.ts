/** Names of the protocol that the SDK spells. */
export {
  CLIENT_CAPABILITIES_META_KEY,
  CLIENT_INFO_META_KEY,
  LOG_LEVEL_META_KEY,
  PROTOCOL_VERSION_META_KEY,
  SERVER_INFO_META_KEY,
  SUBSCRIPTION_ID_META_KEY,
  SUPPORTED_PROTOCOL_VERSIONS
} from '@modelcontextprotocol/server'

/** The revision in which each request says all that it needs. */
export const MODERN_VERSION = '2026-07-28'
/** What servers behind this one log for clients of the older revisions, which name a level for a session alone. */
export const LEGACY_LOG_LEVEL = 'info'
