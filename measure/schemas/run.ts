// `npm run measure schemas`: what one call of the same tool costs, decided and run, with its schema in each library. The least of five rounds.
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import { z } from 'zod'
import { decide } from '../../src/decision/decide.ts'
import { Inspector } from '../../src/core/inspection.ts'
import type { Principal } from '../../src/core/principal.ts'
import { runTool } from '../../src/tools/call.ts'
import { buildCatalogue, type OfferedTool } from '../../src/tools/catalogue.ts'
import { CallContext } from '../../src/tools/context.ts'
import { defineTool, Type, type Schema } from '../../src/tools/index.ts'

const inputs: Record<string, Schema> = {
  TypeBox: Type.Object({ number: Type.String({ pattern: '^[0-9]{1,10}$' }), limit: Type.Integer(), state: Type.String(), all: Type.Boolean() }, { additionalProperties: false }),
  'JSON Schema': { type: 'object', properties: { number: { type: 'string', pattern: '^[0-9]{1,10}$' }, limit: { type: 'integer' }, state: { type: 'string' }, all: { type: 'boolean' } }, required: ['number', 'limit', 'state', 'all'], additionalProperties: false },
  zod: z.strictObject({ number: z.string().regex(/^[0-9]{1,10}$/), limit: z.int(), state: z.string(), all: z.boolean() }),
  valibot: toStandardJsonSchema(v.strictObject({ number: v.pipe(v.string(), v.regex(/^[0-9]{1,10}$/)), limit: v.pipe(v.number(), v.integer()), state: v.string(), all: v.boolean() })),
  arktype: type({ '+': 'reject', number: /^[0-9]{1,10}$/, limit: 'number.integer', state: 'string', all: 'boolean' })
}
const args = { number: '1001', limit: 10, state: 'open', all: true }
const principal: Principal = { id: 'key:a', name: 'a', authType: 'api_key', role: 'caller', permissions: ['*'], authenticatedAt: 0, revocableAs: [] }
const silent = { debug () {}, info () {}, warn () {}, error (...said: unknown[]) { throw new Error(JSON.stringify(said)) } }
const signal = () => new AbortController().signal
const context = new CallContext({ principal, log: silent, signal, requestId: 'measure', headers: {} })
const inspection = { mode: 'off' as const, inspector: new Inspector({ level: 'default', own: [], maxCharacters: 1_000_000 }) }
const CALLS = 200_000
const ROUNDS = 5

/** Microseconds for one call. */
function cost (input: Schema): number {
  const definition = defineTool({ name: 'get_order', description: 'Look up one order.', input, run: () => 'done' })
  const catalogue = buildCatalogue([{ from: 'measure', definition }], new Set<string>())
  const target = { kind: 'tool', name: 'get_order' } as const
  let least = Infinity
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now()
    for (let i = 0; i < CALLS; i++) {
      const decision = decide({ principal, method: 'tools/call', target, args }, { catalogue, inspection })
      if (decision instanceof Promise || decision.outcome !== 'allow') throw new Error('refused')
      const outcome = runTool(decision.offered as OfferedTool, decision.input, context)
      if (!('content' in outcome)) throw new Error('failed')
    }
    least = Math.min(least, (performance.now() - began) / CALLS * 1000)
  }
  return least
}

for (const [library, input] of Object.entries(inputs)) process.stdout.write(`${library.padEnd(12)} ${cost(input).toFixed(2)} µs a call\n`)
