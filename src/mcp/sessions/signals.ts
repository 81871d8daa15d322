/** What replicas tell each other of a session. */
import type { Bus } from '../../state/bus.ts'

export type SessionSignal =
  | { readonly session: string, readonly what: 'cancel', readonly requestId: unknown, readonly reason?: unknown }
  | { readonly session: string, readonly what: 'stream', readonly stream: string }
  | { readonly session: string, readonly what: 'watching' | 'end' }

/** Releases that run side by side know it by this name. */
const TOPIC = 'sessions'

export async function tellSignal (bus: Bus, signal: SessionSignal): Promise<void> {
  await bus.publish(TOPIC, JSON.stringify(signal))
}

/** @returns the way to stop */
export function onSignal (bus: Bus, listener: (signal: SessionSignal) => void): () => void {
  return bus.listen(TOPIC, text => { listener(JSON.parse(text) as SessionSignal) })
}
