import t from 'tap'
import { Trace } from '../../src/decision/trace.ts'

t.test('what nothing refused was served', async t => {
  const trace = new Trace('r-1')
  t.equal(trace.decision, 'served')
  t.equal(trace.rule, undefined)
})

t.test('the first refusal stays, with the rule that made it', async t => {
  const trace = new Trace('r-1')
  trace.refuse('FORBIDDEN', '!resource:*')
  trace.refuse('INTERNAL')
  t.equal(trace.decision, 'FORBIDDEN')
  t.equal(trace.rule, '!resource:*')
})
