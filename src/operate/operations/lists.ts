/** Blocked addresses and revoked tokens, as the management API knows them. */
import Type from 'typebox'
import { AppError } from '../../errors.ts'
import { normalRange } from '../../core/address.ts'
import { blockAddresses, listBlocked, MAX_NOTE_LENGTH, unblockAddresses } from '../blocklist.ts'
import { defineOperation } from '../operation.ts'
import { PAGE, pageFrom, pageOf } from '../pages.ts'
import { listRevoked, revokeTokens, unrevokeTokens } from '../tokens.ts'

const Time = Type.Integer({ minimum: 0, description: 'ms since the epoch' })
const Note = Type.Optional(Type.String({ maxLength: MAX_NOTE_LENGTH }))
const ForMs = Type.Optional(Type.Integer({ minimum: 1, maximum: 315_360_000_000, description: 'How long, ms.' }))
const ENTRY = { since: Time, until: Type.Optional(Time), note: Note }
const Range = Type.String({ maxLength: 64, description: 'An address, or a range such as 203.0.113.0/24.' })
const Blocked = Type.Object({ range: Range, ...ENTRY }, { additionalProperties: false, title: 'Blocked' })
const TokenId = Type.String({
  pattern: '^(jti|sub|client):[^\\x00-\\x1f\\x7f]{1,256}$', description: '`jti:<id>`, `sub:<subject>` or `client:<id>`.'
})
const Revoked = Type.Object({ id: Type.String(), ...ENTRY }, { additionalProperties: false, title: 'Revoked' })
const Gone = Type.Null()

export const LISTS = [
  defineOperation({
    name: 'blocklist.list',
    summary: 'Blocked addresses and ranges.',
    needs: 'read.blocklist',
    method: 'GET',
    path: '/api/blocklist',
    input: Type.Object(PAGE, { additionalProperties: false }),
    output: pageOf(Blocked),
    command: 'ip list',
    async run ({ store }, input) {
      return { body: pageFrom(listBlocked(store), ({ range }) => range, input) }
    }
  }),
  defineOperation({
    name: 'blocklist.add',
    summary: 'Block an address or range.',
    needs: 'write.blocklist',
    method: 'POST',
    path: '/api/blocklist',
    input: Type.Object({ range: Range, forMs: ForMs, note: Note }, { additionalProperties: false }),
    output: Blocked,
    status: 201,
    command: 'ip block',
    async run ({ store }, { range: text, forMs, note }) {
      const [range] = await blockAddresses(store, [text], { forMs, note })
      const before = undefined
      return { body: { range: range!, ...store.blocklist.entries().get(range!)! }, before }
    }
  }),
  defineOperation({
    name: 'blocklist.remove',
    summary: 'Let an address or range in again.',
    needs: 'write.blocklist',
    method: 'DELETE',
    path: '/api/blocklist/:range',
    input: Type.Object({ range: Range }, { additionalProperties: false }),
    output: Gone,
    status: 204,
    command: 'ip unblock',
    async run ({ store }, { range: text }) {
      const range = normalRange(text)
      const before = range === undefined ? undefined : store.blocklist.entries().get(range)
      if (before === undefined) throw new AppError('NOT_FOUND', 'This range is not blocked')
      await unblockAddresses(store, [range!])
      return { body: null, before }
    }
  }),
  defineOperation({
    name: 'revocations.list',
    summary: 'Revoked keys and tokens.',
    needs: 'read.revocations',
    method: 'GET',
    path: '/api/revocations',
    input: Type.Object(PAGE, { additionalProperties: false }),
    output: pageOf(Revoked),
    command: 'tokens list',
    async run ({ store }, input) {
      return { body: pageFrom(listRevoked(store), ({ id }) => id, input) }
    }
  }),
  defineOperation({
    name: 'revocations.add',
    summary: 'Revoke access tokens by what identifies them.',
    needs: 'write.revocations',
    method: 'POST',
    path: '/api/revocations',
    input: Type.Object({ id: TokenId, forMs: ForMs, note: Note }, { additionalProperties: false }),
    output: Revoked,
    status: 201,
    command: 'tokens revoke',
    async run ({ store, keepRevocationsMs }, { id, forMs, note }) {
      await revokeTokens(store, namesIn(id), { keepMs: forMs ?? keepRevocationsMs, note })
      return { body: { id, ...store.revocations.entries().get(id)! } }
    }
  }),
  defineOperation({
    name: 'revocations.remove',
    summary: 'Accept such tokens again.',
    needs: 'write.revocations',
    method: 'DELETE',
    path: '/api/revocations/:id',
    input: Type.Object({ id: TokenId }, { additionalProperties: false }),
    output: Gone,
    status: 204,
    command: 'tokens unrevoke',
    async run ({ store }, { id }) {
      const before = store.revocations.entries().get(id)
      if (before === undefined) throw new AppError('NOT_FOUND', 'Nothing of this id is revoked')
      await unrevokeTokens(store, namesIn(id))
      return { body: null, before }
    }
  })
]

function namesIn (id: string): { jti?: string[], subject?: string[], client?: string[] } {
  const [kind, name] = [id.slice(0, id.indexOf(':')), id.slice(id.indexOf(':') + 1)]
  return kind === 'jti' ? { jti: [name] } : kind === 'sub' ? { subject: [name] } : { client: [name] }
}
