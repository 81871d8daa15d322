import t from 'tap'
import { CallGuard } from '../../src/resilience/call-guard.ts'
import { until } from '../support/until.ts'

const OPTIONS = { what: 'https://as.example', maxUnderWay: 2, maxFailures: 3, pauseMs: 200 }
const fails = async () => { throw new Error('broken') }

t.test('more than so many calls at once are refused, not queued', async t => {
  const guard = new CallGuard(OPTIONS)
  let finish = () => {}
  const slow = () => new Promise<string>(resolve => { const before = finish; finish = () => { before(); resolve('done') } })
  const calls = [guard.run(slow), guard.run(slow)]
  await t.rejects(guard.run(slow), { name: 'Unreachable', message: '2 calls to https://as.example are under way already' })
  finish()
  t.strictSame(await Promise.all(calls), ['done', 'done'])
  t.equal(await guard.run(async () => 'again'), 'again')
})

t.test('after several failures in a row nothing is asked for a while', async t => {
  const guard = new CallGuard(OPTIONS)
  for (let i = 0; i < 2; i++) await t.rejects(guard.run(fails), { message: 'broken' })
  t.equal(await guard.run(async () => 1), 1, 'one that goes well begins the count anew')
  for (let i = 0; i < 3; i++) await t.rejects(guard.run(fails), { message: 'broken' })
  let asked = 0
  const ask = async () => ++asked
  await t.rejects(guard.run(ask), { name: 'Unreachable', message: /failed several times/ })
  t.equal(asked, 0)
  await until(async () => await guard.run(ask).then(() => true, () => false))
  t.equal(asked, 1, 'then it is asked again')
})
