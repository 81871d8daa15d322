/** What an operator only looks at: tools, a refusal, how the server is. */
import Type from 'typebox'
import { defineOperation } from '../operation.ts'
import { PAGE, pageFrom, pageOf } from '../pages.ts'
import { listKeys } from '../keys.ts'
import { acceptLoss } from '../state.ts'
import { listTools } from '../tools.ts'
import { why } from '../why.ts'

const Text = (description: string) => Type.Optional(Type.String({ minLength: 1, maxLength: 4096, description }))
const ABOUT = {
  tool: Text('A tool, or as permissions spell it a resource or prompt: `resource:note://a`, `prompt:greet`.'),
  address: Text('Where the client calls from.'),
  host: Text('The Host that it sends.'),
  origin: Text('The Origin that it sends.')
}
const Layer = Type.Object({
  layer: Type.String(),
  verdict: Type.Enum(['passed', 'refused', 'unknown', 'not asked']),
  reason: Type.Optional(Type.String()),
  rule: Type.Optional(Type.String()),
  saw: Type.Optional(Type.String())
}, { additionalProperties: false })
const Explained = Type.Object({
  decision: Type.String({ description: '`served`, or the reason of the refusal.' }),
  layer: Type.Optional(Type.String()),
  rule: Type.Optional(Type.String()),
  principal: Type.Optional(Type.String()),
  target: Type.Optional(Type.String()),
  layers: Type.Array(Layer),
  mend: Type.Array(Type.String()),
  recorded: Type.Optional(Type.Object({
    time: Type.String({ description: 'When the request was answered.' }),
    policyChanged: Type.Optional(Type.Boolean({ description: 'The policy of its key is another one now.' }))
  }, { additionalProperties: false }))
}, { additionalProperties: false, title: 'Explanation' })
const Count = Type.Integer({ minimum: 0 })
const Tool = Type.Object({
  tool: Type.String(),
  upstream: Type.Optional(Type.String({ description: 'The server behind this one that runs it.' })),
  callers: Type.Array(Type.String(), { description: 'Names of the keys that may call it.' }),
  cost: Type.Integer(),
  rate: Type.Optional(Type.Object({ limit: Type.Integer(), windowMs: Type.Integer() })),
  exempt: Type.Array(Type.String())
}, { additionalProperties: false, title: 'Tool' })
const Status = Type.Object({
  version: Type.String(),
  node: Type.String(),
  settings: Type.Optional(Type.String({ description: 'Differs between replicas whose settings differ.' })),
  started: Type.Integer({ description: 'ms since the epoch' }),
  state: Type.Enum(['ok', 'unreachable', 'lost']),
  kind: Type.Enum(['memory', 'redis']),
  revocationsAgeMs: Type.Number({ description: 'How old the copy of the revocations is.' }),
  inFlight: Count,
  streams: Count,
  draining: Type.Boolean(),
  authentication: Type.Object({ required: Type.Boolean(), types: Type.Array(Type.String()) }),
  issuers: Type.Array(Type.Object({
    issuer: Type.String(),
    metadata: Type.Boolean({ description: 'Its metadata was found.' }),
    up: Type.Boolean({ description: 'It answered the last time.' }),
    keysAgeMs: Type.Optional(Type.Number())
  })),
  inspection: Type.String(),
  tools: Count,
  blocked: Count,
  revoked: Count,
  keys: Type.Object({
    active: Count,
    expired: Count,
    revoked: Count,
    missing: Count,
    unused: Type.Array(Type.String(), { description: 'Names of active keys that were not used for 90 days.' })
  })
}, { additionalProperties: false, title: 'Status' })

const Examined = Type.Object({
  id: Type.String(),
  asks: Type.String({ description: 'What holds where all is well.' }),
  severity: Type.Enum(['ok', 'warn', 'bad']),
  found: Type.String(),
  remedy: Type.Optional(Type.String())
}, { additionalProperties: false, title: 'ExaminedCheck' })

const UNUSED_MS = 90 * 86_400_000

export const LOOKS = [
  defineOperation({
    name: 'tools.list',
    summary: 'What is offered, and who may call it.',
    needs: 'read.tools',
    method: 'GET',
    path: '/api/tools',
    input: Type.Object(PAGE, { additionalProperties: false }),
    output: pageOf(Tool),
    command: 'tools list',
    async run ({ store, catalogue }, input) {
      const rows = await listTools(store, catalogue)
      const { items, next } = pageFrom(rows, ({ tool }) => tool, input)
      const told = items.map(({ rate, upstream, ...row }) => ({
        ...row, ...(rate === undefined ? {} : { rate }), ...(upstream === undefined ? {} : { upstream })
      }))
      return { body: { items: told, ...(next === undefined ? {} : { next }) } }
    }
  }),
  defineOperation({
    name: 'why.key',
    summary: 'Why a key is refused something, or why a request was refused, and what would mend it. Counts nothing.',
    needs: 'read.why',
    method: 'GET',
    path: '/api/why',
    input: Type.Object(
      {
        key: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'Id or name.' })),
        record: Type.Optional(Type.String({
          pattern: '^[0-9A-Za-z-]{1,64}$',
          description: 'The id of a request, as X-Request-Id named it, alone: what was decided then, on any replica.'
        })),
        ...ABOUT
      },
      { additionalProperties: false }
    ),
    output: Explained,
    command: 'why',
    async run (context, input) {
      return { body: plain(await why(input, context)) }
    }
  }),
  defineOperation({
    name: 'why.message',
    summary: 'The same with arguments, or for a key or token as it is presented.',
    needs: 'read.why',
    method: 'POST',
    path: '/api/why',
    input: Type.Object({
      key: Text('Id or name.'),
      credential: Type.Optional(
        Type.String({ minLength: 1, maxLength: 16_384, description: 'The key or token itself. Kept nowhere.' })
      ),
      args: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
      ...ABOUT
    }, { additionalProperties: false }),
    output: Explained,
    command: 'why',
    async run (context, input) {
      return { body: plain(await why(input, context)) }
    }
  }),
  defineOperation({
    name: 'status.show',
    summary: 'How the server and its state are.',
    needs: 'read.status',
    method: 'GET',
    path: '/api/status',
    input: Type.Object({}, { additionalProperties: false }),
    output: Status,
    command: 'status',
    async run ({ store, catalogue, status }) {
      const keys = await listKeys(store)
      const now = store.now()
      const is = (...wanted: string[]) => keys.filter(({ status }) => wanted.includes(status))
      const unused = is('active', 'rotating').filter(({ created, lastUsed = created }) => now - lastUsed > UNUSED_MS)
      return {
        body: plain({
          ...status(),
          state: store.health(),
          kind: store.kind,
          revocationsAgeMs: Math.round(store.revocations.ageMs()),
          tools: catalogue.tools.size,
          blocked: store.blocklist.entries().size,
          revoked: store.revocations.entries().size,
          keys: {
            active: is('active', 'rotating').length,
            expired: is('expired').length,
            revoked: is('revoked').length,
            missing: (await store.missingKeys()).length,
            unused: unused.map(({ name }) => name)
          }
        })
      }
    }
  }),
  defineOperation({
    name: 'doctor.examine',
    summary: 'What is wrong with settings, state, records, keys, tools and authorization servers, the worst first.',
    needs: 'read.doctor',
    method: 'GET',
    path: '/api/doctor',
    input: Type.Object({
      only: Type.Optional(Type.String({ maxLength: 64, description: 'Checks whose name begins so.' }))
    }, { additionalProperties: false }),
    output: Type.Object({ items: Type.Array(Examined) }, { additionalProperties: false }),
    command: 'doctor',
    async run ({ examine }, { only = '' }) {
      return { body: plain({ items: await examine(only) }) }
    }
  }),
  defineOperation({
    name: 'state.accept-loss',
    summary: 'Go on with what is there, where Redis lost what it held.',
    needs: 'write.state',
    method: 'POST',
    path: '/api/state/accept-loss',
    input: Type.Object({}, { additionalProperties: false }),
    output: Type.Object({ accepted: Type.Boolean() }, { additionalProperties: false }),
    command: 'state accept-loss',
    async run ({ store }) {
      await acceptLoss(store)
      return { body: { accepted: true } }
    }
  })
]

/** As JSON has it: without members that are undefined, and free to change. */
function plain (value: object): any {
  return JSON.parse(JSON.stringify(value))
}
