import { BlockList } from 'node:net'
import fc from '../support/fast-check.ts'
import t from 'tap'
import { addressGroup, addressSet, clientAddress, normalAddress, normalRange, proxies } from '../../src/core/address.ts'

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

t.test('the client is who the last proxy of ours was asked by, and an entry that cannot be read is nobody', async t => {
  const one = proxies(['10.0.0.0/8'])
  const cases: Array<[what: string, peer: string, forwarded: string | undefined, isProxy: ReturnType<typeof proxies>, client: string | undefined]> = [
    ['nobody is trusted', '10.0.0.1', '203.0.113.7', proxies(false), '10.0.0.1'],
    ['the peer is no proxy', '192.0.2.1', '203.0.113.7', one, '192.0.2.1'],
    ['a proxy asks for itself', '10.0.0.1', undefined, one, '10.0.0.1'],
    ['an empty list', '10.0.0.1', ' , ', one, '10.0.0.1'],
    ['an address', '10.0.0.1', '203.0.113.7', one, '203.0.113.7'],
    ['with a port', '10.0.0.1', '203.0.113.7:51234', one, '203.0.113.7'],
    ['IPv6', '10.0.0.1', '2001:db8::1', one, '2001:db8:0:0:0:0:0:1'],
    ['IPv6 that looks like one with a port', '10.0.0.1', '2001:db8::1:443', one, '2001:db8:0:0:0:0:1:443'],
    ['in brackets', '10.0.0.1', '[2001:db8::1]', one, '2001:db8:0:0:0:0:0:1'],
    ['in brackets with a port', '10.0.0.1', '[2001:db8::1]:443', one, '2001:db8:0:0:0:0:0:1'],
    ['with a zone', '10.0.0.1', '[fe80::1%eth0]:443', one, 'fe80:0:0:0:0:0:0:1'],
    ['IPv4 in IPv6', '::ffff:10.0.0.1', '::ffff:203.0.113.7', one, '203.0.113.7'],
    ['IPv4 in IPv6 with a port', '10.0.0.1', '::ffff:203.0.113.7:51234', one, '203.0.113.7'],
    ['what the client wrote itself', '10.0.0.1', '192.0.2.66, 203.0.113.7', one, '203.0.113.7'],
    ['two proxies', '10.0.0.1', '192.0.2.66, 203.0.113.7, 10.0.0.2:80', one, '203.0.113.7'],
    ['proxies all the way', '10.0.0.1', '10.0.0.3, 10.0.0.2', one, '10.0.0.3'],
    ['two hops', '192.0.2.9', '203.0.113.7, 198.51.100.1', proxies(2), '203.0.113.7'],
    ['fewer entries than hops', '192.0.2.9', '203.0.113.7', proxies(2), '203.0.113.7'],
    ['nonsense further out', '10.0.0.1', '<script>, 203.0.113.7', one, '203.0.113.7'],
    ['nonsense', '10.0.0.1', '<script>', one, undefined],
    ['a proxy that hides', '10.0.0.1', 'unknown', one, undefined],
    ['a socket of the machine', '10.0.0.1', 'unix:', one, undefined],
    ['behind a second proxy', '10.0.0.1', '_hidden, 10.0.0.2', one, undefined],
    ['a port alone', '10.0.0.1', ':443', one, undefined],
    ['half a bracket', '10.0.0.1', '[2001:db8::1', one, undefined],
    ['a port that is none', '10.0.0.1', '203.0.113.7:port', one, undefined],
    ['octal', '10.0.0.1', '010.0.0.1', one, undefined],
    ['a chain without end', '10.0.0.1', Array(100).fill('10.0.0.2').join(','), one, undefined],
    ['no peer', '', '203.0.113.7', one, undefined]
  ]
  for (const [what, peer, forwarded, isProxy, client] of cases) t.equal(clientAddress(peer, forwarded, isProxy), client, what)
})
