import fc from '../support/fast-check.ts'
import t from 'tap'
import { ConnectionPool, GRACE_MS } from '../../src/core/connection-pool.ts'

const LIMITS = { max: 4, maxStrangersOfGroup: 3, spare: 2 }
const names = (entry: { closing: ReadonlyArray<{ connection: string, why: string }> }) => entry.closing.map(({ connection, why }) => `${connection} ${why}`)

t.test('a full pool closes the oldest idle stranger for a newcomer', async t => {
  const pool = new ConnectionPool<string>(LIMITS)
  for (const [i, group] of ['a', 'b', 'c', 'd'].entries()) t.same(pool.enter(group, group, i), { place: 'full', closing: [] })
  pool.begin('a') // is being answered
  const entry = pool.enter('e', 'e', 1000)
  t.equal(entry.place, 'full')
  t.same(names(entry), ['b room'])
  pool.end('a', 1001)
  t.same(names(pool.enter('f', 'f', 2000)), ['c room'], 'who was just answered is not the oldest')
})

t.test('a newcomer has time to say something', async t => {
  const pool = new ConnectionPool<string>(LIMITS)
  for (const name of ['a', 'b', 'c', 'd']) pool.enter(name, name, 0)
  t.same(pool.enter('e', 'e', GRACE_MS - 1), { place: 'spare', closing: [] })
  t.same(names(pool.enter('f', 'f', GRACE_MS)), ['a room'])
})

t.test('whoever showed a credential stays while strangers are idle, and goes last used first when none is', async t => {
  const pool = new ConnectionPool<string>(LIMITS)
  for (const [i, name] of ['a', 'b', 'c'].entries()) {
    pool.enter(name, 'caller', i)
    pool.begin(name)
    pool.know(name)
    pool.end(name, 10 + i)
  }
  pool.enter('stranger', 'x', 20)
  t.ok(pool.isStranger('stranger'))
  t.notOk(pool.isStranger('a'))
  t.same(names(pool.enter('d', 'y', 1000)), ['stranger room'])
  pool.begin('d')
  pool.begin('a')
  pool.end('a', 1001)
  t.same(names(pool.enter('e', 'z', 1002)), ['b room'])
  t.same(pool.enter('f', 'z', 1003), { place: 'spare', closing: [] }, 'the newest stranger is not the price of the next')
})

t.test('where all are busy a newcomer gets a spare place, and a full one as soon as there is room', async t => {
  const pool = new ConnectionPool<string>(LIMITS)
  for (const name of ['a', 'b', 'c', 'd']) {
    pool.enter(name, name, 0)
    t.equal(pool.begin(name), true)
  }
  t.equal(pool.enter('e', 'e', 1000).place, 'spare')
  t.equal(pool.begin('e'), false)
  t.equal(pool.enter('f', 'f', 1001).place, 'spare')
  t.equal(pool.begin('f'), false)
  t.equal(pool.enter('g', 'g', 1002).place, 'none', 'both spare places are busy')
  pool.end('e', 1003)
  const entry = pool.enter('g', 'g', 1004)
  t.equal(entry.place, 'spare')
  t.same(names(entry), ['e room'], 'an idle spare place is given away at once')
  pool.leave('a')
  t.equal(pool.begin('g'), true)
  t.equal(pool.enter('h', 'h', 2000).place, 'spare')
})

t.test('one address holds no more strangers than its share, and whoever showed a credential is none', async t => {
  const pool = new ConnectionPool<string>({ max: 100, maxStrangersOfGroup: 3, spare: 2 })
  for (const [i, name] of ['a', 'b', 'c'].entries()) pool.enter(name, 'x', i)
  t.same(names(pool.enter('d', 'x', 1000)), ['a address'])
  t.same(names(pool.enter('e', 'y', 1000)), [], 'another address')
  pool.know('b')
  t.same(names(pool.enter('f', 'x', 1001)), [], 'two are left, and one')
  t.same(names(pool.enter('g', 'x', 2000)), ['c address'])
  for (let i = 0; i < 20; i++) t.same(names(pool.enter(`proxy ${i}`, undefined, 3000)), [], 'a proxy of ours stands for many')
  t.notOk(pool.isStranger('proxy 0'))
})

t.test('whatever happens, there are never more than the limits, and nothing that is being answered is closed', async () => {
  const step = fc.tuple(fc.constantFrom('enter', 'enter', 'enter', 'begin', 'end', 'know', 'leave'), fc.integer({ min: 0, max: 40 }), fc.constantFrom('a', 'b', undefined), fc.integer({ min: 0, max: 150 }))
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), steps => {
    const pool = new ConnectionPool<number>(LIMITS)
    const busy = new Map<number, number>()
    const open: number[] = []
    let now = 0
    let next = 0
    for (const [what, which, group, later] of steps) {
      now += later
      const one = open[which % Math.max(1, open.length)]
      if (what === 'enter') {
        const { place, closing } = pool.enter(next, group, now)
        for (const { connection } of closing) {
          if (busy.has(connection)) return false
          open.splice(open.indexOf(connection), 1)
        }
        if (place !== 'none') open.push(next)
        next++
      } else if (one !== undefined) {
        if (what === 'begin') busy.set(one, (busy.get(one) ?? 0) + 1)
        if (what === 'begin') pool.begin(one)
        if (what === 'know') pool.know(one)
        if (what === 'end' && busy.has(one)) {
          pool.end(one, now)
          if (busy.get(one) === 1) busy.delete(one)
          else busy.set(one, busy.get(one)! - 1)
        }
        if (what === 'leave') {
          pool.leave(one)
          busy.delete(one)
          open.splice(open.indexOf(one), 1)
        }
      }
      if (pool.size !== open.length || pool.size > LIMITS.max + LIMITS.spare) return false
    }
    return true
  }), { numRuns: 1000, seed: 11 })
})
