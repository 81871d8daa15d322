/** Requests as bytes, for what no HTTP client would send. */
import { connect, type Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'

/** Listen on a free port of loopback. */
export async function listening (app: FastifyInstance): Promise<number> {
  await app.listen({ host: '127.0.0.1', port: 0 })
  return (app.server.address() as AddressInfo).port
}

export interface Connection {
  readonly socket: Socket
  /** All that came so far. */
  readonly text: () => string
  /** Resolves when the claim holds of what came, or the connection is closed; fails after 30 s. */
  until: (claim: (text: string) => boolean) => Promise<string>
  /** Resolves when the other end has closed. */
  closed: () => Promise<string>
}

/** A connection on which bytes are written as they are. */
export function open (t: Test, port: number, from?: string): Connection {
  const socket = connect({ port, host: '127.0.0.1', ...(from === undefined ? {} : { localAddress: from }) })
  let text = ''
  let closed = false
  const listeners = new Set<() => void>()
  const changed = () => { for (const listener of listeners) listener() }
  socket.on('data', data => { text += data.toString(); changed() }).on('error', () => {}).on('close', () => { closed = true; changed() })
  t.teardown(() => socket.destroy())
  const wait = async (claim: () => boolean) => {
    if (!claim()) {
      await new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`waited 30 s; so far: ${text.slice(0, 500)}`)), 30_000)
        listeners.add(() => { if (claim()) { clearTimeout(timer); resolve() } })
      })
    }
    return text
  }
  return {
    socket,
    text: () => text,
    until: async claim => await wait(() => claim(text) || closed),
    closed: async () => await wait(() => closed)
  }
}

/** Send bytes, and read until the server closes. */
export async function exchange (t: Test, port: number, bytes: string, from?: string): Promise<string> {
  const connection = open(t, port, from)
  connection.socket.write(bytes)
  return await connection.closed()
}

export const statusOf = (answer: string): number => Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1] ?? 0)
export const headerOf = (answer: string, name: string): string | undefined => new RegExp(`^${name}: (.*)\r$`, 'im').exec(answer)?.[1]
export const bodyOf = (answer: string): string => answer.slice(answer.indexOf('\r\n\r\n') + 4)
