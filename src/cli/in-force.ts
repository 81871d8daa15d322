import type { Store } from '../state/store.ts'
import type { Io } from './command.ts'

/**
 * Wait until running servers use the change that was just made.
 *
 * @returns the exit code: 1 if one of them does not
 */
export async function inForce (store: Store, io: Io): Promise<number> {
  const taken = await store.takenUp()
  if (taken === undefined) return 0
  for (const sentence of taken.refused) io.err(sentence)
  if (taken.serving === 0) io.err(`No running server reports that it uses ${taken.place}; one that starts there will.`)
  return taken.refused.length === 0 ? 0 : 1
}
