/** Every operation, once. The management API makes its routes and its document of this table. */
import type { Operation } from '../operation.ts'
import { DRY_RUNS } from './dry-run.ts'
import { KEYS } from './keys.ts'
import { LISTS } from './lists.ts'
import { LOOKS } from './looks.ts'

export const OPERATIONS: readonly Operation[] = [...KEYS, ...LISTS, ...LOOKS, ...DRY_RUNS]
