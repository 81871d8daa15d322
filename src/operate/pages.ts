/** Lists of the API: in pieces, in the order of a key that does not change. */
import Type, { type TSchema } from 'typebox'
import { UsageError } from '../errors.ts'

/** What every list may be asked with. */
export const PAGE = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 500, description: 'Items at most; 50 if absent.' })),
  after: Type.Optional(Type.String({ maxLength: 512, description: '`next` of the piece before.' }))
}

const DEFAULT_LIMIT = 50

export interface Page<T> {
  items: T[]
  next?: string
}

export function pageOf<T extends TSchema> (item: T) {
  return Type.Object({ items: Type.Array(item), next: Type.Optional(Type.String()) }, { additionalProperties: false })
}

interface Piece {
  readonly limit?: number | undefined
  readonly after?: string | undefined
}

/** @throws {UsageError} for an `after` that no list gave */
export function pageFrom<T> (
  all: readonly T[], keyOf: (item: T) => string, { limit = DEFAULT_LIMIT, after }: Piece
): Page<T> {
  const sorted = [...all].sort((a, b) => keyOf(a) < keyOf(b) ? -1 : 1)
  const from = after === undefined ? undefined : keyIn(after)
  const rest = from === undefined ? sorted : sorted.filter(item => keyOf(item) > from)
  const items = rest.slice(0, limit)
  return { items, ...(rest.length > limit ? { next: Buffer.from(keyOf(items.at(-1)!)).toString('base64url') } : {}) }
}

function keyIn (after: string): string {
  const key = Buffer.from(after, 'base64url').toString()
  if (Buffer.from(key).toString('base64url') !== after) {
    throw new UsageError('after must be the `next` of a list, as it was given')
  }
  return key
}
