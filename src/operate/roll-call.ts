/** Which replicas run, and with what: each answers a call over the bus, and nothing is kept. */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus } from '../state/bus.ts'

/** What a replica says of itself. */
export interface ReplicaAnswer {
  /** Host name, and a few random characters: containers may share one. */
  readonly name: string
  readonly version: string
  /** Differs where settings differ. */
  readonly settings?: string | undefined
  /** Differs where what is offered differs. */
  readonly tools: string
}

const CALL = 'roll-call'
/** How long replicas have for an answer, ms. */
const PATIENCE_MS = 1000
const MAX_REPLICAS = 1000

/** Answer calls from now on. @returns the way to stop */
export function answerRollCalls (bus: Bus, self: () => ReplicaAnswer): () => void {
  return bus.listen(CALL, topic => {
    if (!/^roll-call:[0-9a-f-]{36}$/.test(topic)) return
    // Who calls waits a second and no longer: a lost answer is one replica fewer.
    bus.publish(topic, JSON.stringify(self())).catch(() => {})
  })
}

/** @returns those that answered, by name; undefined where the call itself failed */
export async function callReplicas (bus: Bus, patienceMs = PATIENCE_MS): Promise<ReplicaAnswer[] | undefined> {
  const topic = `${CALL}:${randomUUID()}`
  const answers = new Map<string, ReplicaAnswer>()
  const stop = bus.listen(topic, text => {
    const answer = JSON.parse(text) as ReplicaAnswer
    if (answers.size < MAX_REPLICAS) answers.set(answer.name, answer)
  })
  try {
    // A subscription may take a moment, so the call is made again until the time is over.
    const until = performance.now() + patienceMs
    while (performance.now() < until) {
      await bus.publish(CALL, topic)
      await sleep(patienceMs / 4)
    }
    return [...answers.values()].sort((a, b) => a.name < b.name ? -1 : 1)
  } catch {
    return undefined
  } finally {
    stop()
  }
}
