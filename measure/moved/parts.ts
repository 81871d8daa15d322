// What the moved tools stand on: the same for both, so that it counts as nobody's lines.
import { setTimeout as sleep } from 'node:timers/promises'

export const STATUSES = ['pending', 'in-progress', 'review', 'done', 'cancelled'] as const

const tasks = new Map([['1', 'pending'], ['1.1', 'pending'], ['2', 'pending']])

/** @throws {Error} for a task that does not exist */
export function setStatus (ids: string, status: string): string[] {
  return ids.split(',').map(id => id.trim()).map(id => {
    if (!tasks.has(id)) throw new Error(`Task ${id} does not exist`)
    tasks.set(id, status)
    return id
  })
}

/** Collects a page: ready when it was asked for the third time. */
export function collect (url: string): { ready: () => Promise<object | undefined> } {
  let asked = 0
  return {
    ready: async () => {
      await sleep(1)
      asked++
      return asked < 3 ? undefined : { url, title: 'A product', price: 12.5 }
    }
  }
}

/** A picture of one pixel. */
export const takeScreenshot = async (): Promise<Buffer> =>
  Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64')

const files = new Map([['notes.txt', 'first\nsecond\n']])

/** @throws {Error} for a file or a text that is not there */
export function edit (path: string, edits: ReadonlyArray<{ oldText: string, newText: string }>, dryRun: boolean): string {
  const text = files.get(path)
  if (text === undefined) throw new Error(`${path} is outside the allowed folders`)
  for (const { oldText } of edits) if (!text.includes(oldText)) throw new Error(`${path} does not hold "${oldText}"`)
  return [dryRun ? 'Would change' : 'Changed', ...edits.map(({ oldText, newText }) => `-${oldText}\n+${newText}`)].join('\n')
}

export const findLibraries = async (name: string): Promise<string[]> => name === 'fastify' ? ['/fastify/fastify', '/fastify/help'] : []

/** Names that models make up for an argument, and the one that is meant. */
export const withoutAliases = (aliases: Readonly<Record<string, readonly string[]>>) => (value: unknown): unknown => {
  if (typeof value !== 'object' || value === null) return value
  const named: Record<string, unknown> = { ...value }
  for (const [name, others] of Object.entries(aliases)) {
    const found = others.find(other => Object.hasOwn(named, other))
    if (found === undefined || Object.hasOwn(named, name)) continue
    named[name] = named[found]
    delete named[found]
  }
  return named
}

/** What a user is asked for. */
export const PERSON = {
  type: 'object',
  properties: {
    name: { type: 'string', title: 'Name', description: 'Your full name' },
    email: { type: 'string', format: 'email', title: 'Address' },
    friend: { type: 'string', title: 'Friend', enum: ['Ada', 'Grace', 'Mary'], default: 'Ada' }
  },
  required: ['name']
} as const
