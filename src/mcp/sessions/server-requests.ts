/**
 * Questions to clients of the older revisions. A question goes out on the
 * stream of the request that raises it; its answer is a request of its own,
 * which a load balancer may hand to any replica. So the question's id is the
 * address of the process that waits: `<replica>.<uuid>`.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import type { JSONRPCErrorResponse, JSONRPCResultResponse } from '@modelcontextprotocol/server'
import type { Bus } from '../../state/bus.ts'

export type ClientAnswer = JSONRPCResultResponse | JSONRPCErrorResponse

export interface ServerRequests {
  /** @returns the id to ask under; `deliver` is called at most once */
  ask (owner: string, session: string, deliver: (answer: ClientAnswer) => void): string
  forget (id: string): void
  /** Hand an answer to whoever waits for it. @returns whether somebody does, as far as that can be known */
  answer (owner: string, session: string, answer: ClientAnswer): Promise<boolean>
  close (): void
}

const FORM = /^([A-Za-z0-9_-]{12})\.[0-9a-f-]{36}$/

interface PendingRequest { owner: string, session: string, deliver: (answer: ClientAnswer) => void }

export function serverRequests (bus: Bus): ServerRequests {
  const replica = randomBytes(9).toString('base64url')
  const waiting = new Map<string, PendingRequest>()

  /** Only the session that was asked may answer, however well an id is guessed. */
  const take = (owner: string, session: string, answer: ClientAnswer): boolean => {
    const found = waiting.get(String(answer.id))
    if (found === undefined || found.owner !== owner || found.session !== session) return false
    waiting.delete(String(answer.id))
    found.deliver(answer)
    return true
  }
  const stop = bus.listen(`to:${replica}`, text => {
    const { owner, session, answer } = JSON.parse(text) as { owner: string, session: string, answer: ClientAnswer }
    take(owner, session, answer)
  })

  return {
    ask (owner, session, deliver) {
      const id = `${replica}.${randomUUID()}`
      waiting.set(id, { owner, session, deliver })
      return id
    },
    forget: id => { waiting.delete(id) },
    async answer (owner, session, answer) {
      const to = typeof answer.id === 'string' ? FORM.exec(answer.id)?.[1] : undefined
      if (to === undefined) return false
      if (to === replica) return take(owner, session, answer)
      return await bus.publish(`to:${to}`, JSON.stringify({ owner, session, answer })) > 0
    },
    close: stop
  }
}
