import { BlockList } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import { addressGroup, addressSet, normalAddress, normalRange } from '../../src/core/address.ts'

t.test('an address has one normal form, and what is none has none', async t => {
  const cases: Array<[string, string | undefined]> = [
    ['192.0.2.1', '192.0.2.1'], ['::ffff:192.0.2.1', '192.0.2.1'], ['::FFFF:C000:201', '192.0.2.1'], ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:1'],
    ['2001:DB8::1', '2001:db8:0:0:0:0:0:1'], ['::', '0:0:0:0:0:0:0:0'], ['1.2.3', undefined], ['<script>', undefined], ['', undefined], ['300.1.1.1', undefined]
  ]
  for (const [text, normal] of cases) t.equal(normalAddress(text), normal, text)
  t.equal(addressGroup('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2::/64')
  t.equal(addressGroup('::ffff:192.0.2.1'), '192.0.2.1')
  t.equal(addressGroup('nobody'), 'unknown')
  t.equal(normalRange(' 192.0.2.0/24 '), '192.0.2.0/24')
  t.equal(normalRange('::ffff:10.0.0.0/104'), '10.0.0.0/8')
  t.equal(normalRange('::ffff:10.0.0.1'), '10.0.0.1/32')
  for (const wrong of ['192.0.2.0/33', '::ffff:10.0.0.0/8', '::ffff:0:0/95', '::ffff:10.0.0.0/129', '192.0.2.0/', '192.0.2.0/24/8', 'x/8', '::/129', '1.2.3.4/-1']) t.equal(normalRange(wrong), undefined, wrong)
})

t.test('a set of ranges holds what Node\'s own list holds, whatever is put in and taken out', async t => {
  // Few values, so that ranges overlap and addresses fall at their edges. Wider ones of IPv6 hold ::ffff:0:0/96 as well,
  // and so, to Node, all of IPv4.
  const part = fc.constantFrom(0, 1, 127, 128, 254, 255)
  const four = fc.tuple(fc.constantFrom(10, 192), part, part, part).map(parts => parts.join('.'))
  const six = fc.array(fc.constantFrom('0', '1', '7fff', '8000', 'ffff'), { minLength: 7, maxLength: 7 }).map(parts => ['2001', ...parts].join(':'))
  const range = fc.oneof(fc.tuple(four, fc.integer({ min: 0, max: 32 })), fc.tuple(six, fc.integer({ min: 3, max: 128 }))).map(([address, bits]) => `${address}/${bits}`)
  fc.assert(fc.property(fc.array(range, { maxLength: 20 }), fc.array(range, { maxLength: 20 }), fc.array(fc.oneof(four, six), { minLength: 1, maxLength: 20 }), (kept, gone, addresses) => {
    const set = addressSet([...gone, ...gone])
    for (const address of addresses) set.has(address) // an answer that is remembered goes with the next change
    for (const one of kept) set.add(one)
    for (const address of addresses) set.has(address)
    for (const one of gone) if (!kept.includes(one)) set.delete(one)
    const list = new BlockList()
    for (const one of kept) {
      const [address, bits] = one.split('/') as [string, string]
      list.addSubnet(address, Number(bits), address.includes(':') ? 'ipv6' : 'ipv4')
    }
    return set.size === new Set(kept).size &&
      addresses.every(address => set.has(address) === list.check(address, address.includes(':') ? 'ipv6' : 'ipv4'))
  }), { numRuns: 500, seed: 7 })
  const set = addressSet(['no range', '10.0.0.0/8', '10.9.9.9/8'])
  t.equal(set.size, 2, 'what is no range is ignored')
  t.equal(set.find('10.1.1.1'), '10.0.0.0/8', 'the range that decided is told as it was added')
  set.delete('10.0.0.0/8')
  t.ok(set.has('::ffff:10.1.1.1'), 'another range says the same')
  t.equal(set.find('::ffff:10.1.1.1'), '10.9.9.9/8')
  t.equal(set.find('192.0.2.1'), undefined)
  set.delete('10.9.9.9/8')
  set.delete('10.9.9.9/8')
  t.notOk(set.has('10.1.1.1'))
})
