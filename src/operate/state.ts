/** What an operator does about shared state. */
import type { Health } from '../core/health.ts'
import { UsageError } from '../errors.ts'
import type { Store } from '../state/store.ts'

export function showState (store: Store): Health {
  return store.health()
}

/** Go on with what is there now, where state was lost. */
export async function acceptLoss (store: Store): Promise<void> {
  if (!await store.acceptLoss()) throw new UsageError(`Nothing to accept: state is ${store.health()}.`)
}
