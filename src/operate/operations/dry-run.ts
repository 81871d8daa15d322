/** What a change would do, before it is made. */
import Type from 'typebox'
import { PERMISSION_PATTERN } from '../../core/permissions.ts'
import { dryRun, MAX_RECORDS } from '../dry-run.ts'
import { defineOperation } from '../operation.ts'

const Count = Type.Integer({ minimum: 0 })
const Counts = Type.Record(Type.String(), Count)
const Patterns = Type.Optional(Type.Array(Type.String({ pattern: PERMISSION_PATTERN }), { maxItems: 256 }))
const Limit = Type.Integer({ minimum: 1, maximum: 1_000_000_000 })
const OrNone = <T extends Type.TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))
const Ranges = Type.Array(Type.String({ maxLength: 64 }), { minItems: 1, maxItems: 64 })
const Example = Type.Object({
  reqId: Type.Optional(Type.String()),
  time: Type.String(),
  principal: Type.Optional(Type.String()),
  target: Type.Optional(Type.String()),
  from: Type.String(),
  to: Type.String(),
  rule: Type.Optional(Type.String())
}, { additionalProperties: false })

export const DRY_RUNS = [
  defineOperation({
    name: 'dry-run.change',
    summary: 'What a change of a key, a limit or the blocklist would have decided of the newest calls.',
    needs: 'read.dryrun',
    method: 'POST',
    path: '/api/dry-run',
    input: Type.Object({
      key: Type.Optional(Type.Object({
        id: Type.String({ minLength: 1, maxLength: 128, description: 'Id or name.' }),
        change: Type.Object({
          permissions: Patterns,
          allow: Patterns,
          drop: Patterns,
          expires: OrNone(Type.Integer({ minimum: 0, description: 'ms since the epoch' })),
          cidrs: OrNone(Ranges),
          limit: OrNone(Limit)
        }, { additionalProperties: false })
      }, { additionalProperties: false })),
      block: Type.Optional(Ranges),
      limits: Type.Optional(Type.Object(
        { none: Type.Optional(Limit), api_key: Type.Optional(Limit), oauth2: Type.Optional(Limit) },
        { additionalProperties: false, description: 'Of classes, requests per window.' }
      )),
      last: Type.Optional(
        Type.Integer({ minimum: 1, maximum: MAX_RECORDS, description: `Records; ${MAX_RECORDS} if absent.` })
      )
    }, { additionalProperties: false }),
    output: Type.Object({
      records: Count,
      from: Type.Optional(Type.String()),
      to: Type.Optional(Type.String()),
      unchanged: Count,
      changes: Type.Array(
        Type.Object({ from: Type.String(), to: Type.String(), count: Count }, { additionalProperties: false })
      ),
      byPrincipal: Counts,
      byTarget: Counts,
      examples: Type.Array(Example),
      unknown: Counts
    }, { additionalProperties: false, title: 'DryRun' }),
    command: 'dry-run',
    async run ({ store, rules, folder }, input): Promise<any> {
      const result = await dryRun(input, { store, rules, folder })
      return { body: JSON.parse(JSON.stringify(result)) }
    }
  })
]
