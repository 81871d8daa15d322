/** API keys, as the management API knows them. */
import Type from 'typebox'
import { PERMISSION_PATTERN, mayUse } from '../../core/permissions.ts'
import { normalRange } from '../../core/address.ts'
import type { ApiKeyRecord } from '../../core/api-key.ts'
import { AppError, UsageError } from '../../errors.ts'
import { keyPrincipal } from '../../auth/api-keys.ts'
import type { Store } from '../../state/store.ts'
import { changeKey, createKey, listKeys, revokeKeys, rotateKey, versionOf, viewOf } from '../keys.ts'
import { defineOperation, type Performed, type Performing } from '../operation.ts'
import { PAGE, pageFrom, pageOf } from '../pages.ts'

const Time = Type.Integer({ minimum: 0, description: 'ms since the epoch' })
const Id = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' })
const Patterns = Type.Array(Type.String({ pattern: PERMISSION_PATTERN }), {
  maxItems: 256, description: 'Of a caller key over names of tools, of an operator key over operations (`read.*`).'
})
const Ranges = Type.Array(
  Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 64, description: 'From where it may be used.' }
)
const Limit = Type.Integer({ minimum: 1, maximum: 1_000_000_000, description: 'Requests per window.' })

const VIEW = {
  id: Id,
  name: Type.String(),
  owner: Type.Optional(Type.String()),
  role: Type.Enum(['caller', 'operator']),
  permissions: Patterns,
  created: Time,
  expires: Type.Optional(Time),
  cidrs: Type.Optional(Ranges),
  limit: Type.Optional(Limit),
  lastUsed: Type.Optional(Time),
  revoked: Type.Optional(Time),
  previousUntil: Type.Optional(Time),
  status: Type.Enum(['active', 'rotating', 'expired', 'revoked']),
  version: Type.String({ description: 'What If-Match names.' })
}
const Key = Type.Object(VIEW, { additionalProperties: false, title: 'Key' })
const MadeKey = Type.Object(
  { ...VIEW, key: Type.String({ description: 'The key itself, shown this once.' }) },
  { additionalProperties: false, title: 'MadeKey' }
)
const ById = Type.Object({ id: Id }, { additionalProperties: false })

function shown (record: ApiKeyRecord, { store }: { store: Store }) {
  return { ...viewOf(record, store.now()), version: versionOf(record) }
}

/** @throws {AppError} NOT_FOUND */
async function found (store: Store, id: string): Promise<ApiKeyRecord> {
  const record = await store.findKey(id)
  if (record === undefined) throw new AppError('NOT_FOUND', 'There is no key with this id')
  return record
}

/** A change, with what was there before it. */
async function change (
  store: Store, id: string, performing: Performing, work: (ifMatch: string | undefined) => Promise<ApiKeyRecord>
) {
  const before = viewOf(await found(store, id), store.now())
  const record = await work(performing.ifMatch)
  const body = shown(record, { store })
  return { body, version: body.version, before }
}

export const KEYS = [
  defineOperation({
    name: 'keys.list',
    summary: 'All keys, those that are over too.',
    needs: 'read.keys',
    method: 'GET',
    path: '/api/keys',
    input: Type.Object(PAGE, { additionalProperties: false }),
    output: pageOf(Key),
    command: 'keys list',
    async run ({ store }, input) {
      const records = await store.listKeys()
      const { items, next } = pageFrom(records, ({ id }) => id, input)
      return { body: { items: items.map(record => shown(record, { store })), ...(next === undefined ? {} : { next }) } }
    }
  }),
  defineOperation({
    name: 'keys.show',
    summary: 'One key.',
    needs: 'read.keys',
    method: 'GET',
    path: '/api/keys/:id',
    input: ById,
    output: Key,
    command: 'keys show',
    async run ({ store }, { id }) {
      const body = shown(await found(store, id), { store })
      return { body, version: body.version }
    }
  }),
  defineOperation({
    name: 'keys.create',
    summary: 'Make a key. It is shown once.',
    needs: 'write.keys',
    method: 'POST',
    path: '/api/keys',
    input: Type.Object({
      name: Type.String({ minLength: 1, maxLength: 128 }),
      role: Type.Optional(Type.Enum(['caller', 'operator'])),
      permissions: Type.Optional(Patterns),
      owner: Type.Optional(Type.String({ maxLength: 256 })),
      lifeMs: Type.Optional(
        Type.Integer({ minimum: 1, description: 'How long it may be used; absent: until it is revoked.' })
      ),
      cidrs: Type.Optional(Ranges),
      limit: Type.Optional(Limit)
    }, { additionalProperties: false }),
    output: MadeKey,
    status: 201,
    command: 'keys create',
    async run ({ store }, { role = 'caller', permissions, cidrs, ...rest }): Promise<Performed<any>> {
      const asked = {
        ...rest, role, permissions: permissions ?? (role === 'caller' ? ['*'] : []), cidrs: cidrs?.map(rangeOf)
      }
      const { key, record } = await createKey(store, asked)
      const body = { ...shown(record, { store }), key }
      return { body, version: body.version, secret: 'key' }
    }
  }),
  defineOperation({
    name: 'keys.change',
    summary: 'Change what a key may do. null takes a bound away.',
    needs: 'write.keys',
    method: 'PATCH',
    path: '/api/keys/:id',
    input: Type.Object({
      id: Id,
      permissions: Type.Optional(Patterns),
      owner: Type.Optional(Type.Union([Type.String({ maxLength: 256 }), Type.Null()])),
      expires: Type.Optional(Type.Union([Time, Type.Null()])),
      cidrs: Type.Optional(Type.Union([Ranges, Type.Null()])),
      limit: Type.Optional(Type.Union([Limit, Type.Null()]))
    }, { additionalProperties: false }),
    output: Key,
    versioned: true,
    command: 'keys change',
    async run ({ store }, { id, cidrs, ...rest }, performing) {
      const wanted = { ...rest, cidrs: cidrs?.map(rangeOf) ?? cidrs }
      return await change(store, id, performing, ifMatch => changeKey(store, id, wanted, ifMatch))
    }
  }),
  defineOperation({
    name: 'keys.rotate',
    summary: 'A new secret. The one before works until the overlap ends.',
    needs: 'write.keys',
    method: 'POST',
    path: '/api/keys/:id/rotate',
    input: Type.Object({
      id: Id,
      overlapMs: Type.Optional(Type.Integer({ minimum: 0, maximum: 31_536_000_000, description: '24 h if absent.' })),
      endPrevious: Type.Optional(Type.Boolean({ description: 'End an overlap that still runs.' }))
    }, { additionalProperties: false }),
    output: MadeKey,
    versioned: true,
    command: 'keys rotate',
    async run ({ store }, { id, overlapMs = 86_400_000, endPrevious = false }, { ifMatch }): Promise<Performed<any>> {
      const before = viewOf(await found(store, id), store.now())
      const { key, record } = await rotateKey(store, id, { overlapMs, endPrevious, ifMatch })
      const body = { ...shown(record, { store }), key }
      return { body, version: body.version, secret: 'key', before }
    }
  }),
  defineOperation({
    name: 'keys.revoke',
    summary: 'End a key for good. Every replica refuses it within a second.',
    needs: 'write.keys',
    method: 'POST',
    path: '/api/keys/:id/revoke',
    input: ById,
    output: Key,
    versioned: true,
    command: 'keys revoke',
    async run ({ store }, { id }, performing) {
      return await change(store, id, performing, async ifMatch => {
        await revokeKeys(store, [id], ifMatch)
        return await found(store, id)
      })
    }
  }),
  defineOperation({
    name: 'permissions.list',
    summary: 'Which key may call which tool.',
    needs: 'read.keys',
    method: 'GET',
    path: '/api/permissions',
    input: Type.Object(PAGE, { additionalProperties: false }),
    output: pageOf(
      Type.Object({ id: Id, name: Type.String(), tools: Type.Array(Type.String()) }, { additionalProperties: false })
    ),
    command: 'tools list',
    async run ({ store, catalogue }, { limit = 100, after }) {
      const now = store.now()
      const keys = (await listKeys(store)).filter(
        ({ role, status }) => role === 'caller' && (status === 'active' || status === 'rotating')
      )
      const { items, next } = pageFrom(keys, ({ id }) => id, { limit: Math.min(limit, 100), after })
      const rows = items.map(key => {
        const principal = keyPrincipal({ ...key, hash: '' }, now)
        return {
          id: key.id, name: key.name, tools: [...catalogue.tools.keys()].filter(tool => mayUse(principal, 'tool', tool))
        }
      })
      return { body: { items: rows, ...(next === undefined ? {} : { next }) } }
    }
  })
]

function rangeOf (text: string): string {
  const range = normalRange(text)
  if (range === undefined) throw new UsageError('cidrs must hold addresses or ranges such as 10.0.0.0/8')
  return range
}
