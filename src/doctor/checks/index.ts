/** Every check. */
import type { HealthCheck } from '../check.ts'
import { KEY_CHECKS } from './keys.ts'
import { OUTSIDE_CHECKS } from './outside.ts'
import { RECORD_CHECKS } from './records.ts'
import { SETTINGS_CHECKS } from './settings.ts'
import { ISSUER_CHECKS, REPLICA_CHECKS, STATE_CHECKS, UPSTREAM_CHECKS } from './state.ts'

export const CHECKS: readonly HealthCheck[] = [
  ...SETTINGS_CHECKS, ...STATE_CHECKS, ...REPLICA_CHECKS, ...RECORD_CHECKS, ...KEY_CHECKS, ...ISSUER_CHECKS,
  ...UPSTREAM_CHECKS, ...OUTSIDE_CHECKS
]
