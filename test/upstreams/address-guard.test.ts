import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import t from 'tap'
import { guardedLookup, networkOfAddress, networkOfHost, urlFault } from '../../src/upstreams/address-guard.ts'

t.test('an address lies where the one lies that it leads to', async t => {
  for (const [address, network] of [
    ['8.8.8.8', 'public'], ['2606:4700::1111', 'public'], ['::ffff:8.8.8.8', 'public'], ['64:ff9b::808:808', 'public'], ['2002:808:808::1', 'public'],
    ['10.0.0.1', 'private'], ['172.16.0.1', 'private'], ['192.168.1.1', 'private'], ['100.64.0.1', 'private'], ['fd12::1', 'private'],
    ['::ffff:10.0.0.1', 'private'], ['64:ff9b::a00:1', 'private'], ['2002:a00:1::', 'private'], ['2001:0:4136:e378:8000:63bf:f5ff:fffe', 'private'],
    ['127.0.0.1', 'loopback'], ['127.255.255.254', 'loopback'], ['::1', 'loopback'], ['::ffff:127.0.0.1', 'loopback'], ['64:ff9b::7f00:1', 'loopback'],
    ['2002:7f00:1::', 'loopback'], ['::ffff:0:127.0.0.1', 'loopback'],
    // Of no upstream.
    ['0.0.0.0', undefined], ['::', undefined], ['169.254.1.1', undefined], ['169.254.169.254', undefined], ['::ffff:169.254.169.254', undefined],
    ['64:ff9b::a9fe:a9fe', undefined], ['2002:a9fe:a9fe::', undefined], ['fd00:ec2::254', undefined], ['100.100.100.200', undefined], ['168.63.129.16', undefined],
    ['fe80::1', undefined], ['fe80::1%eth0', undefined], ['ff02::1', undefined], ['224.0.0.1', undefined], ['255.255.255.255', undefined], ['240.0.0.1', undefined],
    ['192.0.2.1', undefined], ['198.18.0.1', undefined], ['2001:db8::1', undefined], ['fec0::1', undefined], ['::7f00:1', undefined], ['::808:808', undefined],
    ['4000::1', undefined], ['nonsense', undefined], ['', undefined]
  ] as const) t.equal(networkOfAddress(address), network, address)
})

t.test('a host lies where its form says, an address where it is', async t => {
  for (const [url, network] of [
    ['https://mcp.example.com', 'public'], ['https://mcp.example.com.', 'public'], ['http://localhost:3000', 'loopback'], ['http://localhost.', 'loopback'],
    ['http://a.localhost', 'loopback'], ['http://jira', 'private'], ['http://jira.tools.svc', 'private'], ['http://jira.tools.svc.cluster.local.', 'private'],
    ['http://wiki.internal', 'private'], ['http://nas.local', 'private'], ['http://nas.lan', 'private'], ['http://internal.example.com', 'public'],
    // As `new URL` reads them.
    ['http://0x7f.1', 'loopback'], ['http://2130706433', 'loopback'], ['http://127.1', 'loopback'], ['http://１２７.0.0.1', 'loopback'], ['http://127.0.0.1.', 'loopback'],
    ['http://0177.0.0.1', 'loopback'], ['http://[::ffff:7f00:1]', 'loopback'], ['http://[64:ff9b::a9fe:a9fe]', undefined], ['http://0xa9fea9fe', undefined]
  ] as const) t.equal(networkOfHost(new URL(url).hostname), network, url)
})

t.test('a URL of the file is judged as far as it can be without asking', async t => {
  const fault = (url: string, network?: 'public' | 'private' | 'loopback', secrets = false) => urlFault(new URL(url), network, secrets)
  t.equal(fault('https://mcp.example.com/mcp', undefined, true), undefined)
  t.equal(fault('http://127.0.0.1:3000/mcp', undefined, true), undefined)
  t.equal(fault('http://10.1.2.3/mcp', 'private', true), undefined)
  t.equal(fault('http://mcp.example.com/mcp'), undefined)
  t.match(fault('http://mcp.example.com/mcp', undefined, true), /plain http/)
  t.match(fault('http://jira/mcp', 'public', true), /plain http/)
  t.match(fault('http://169.254.169.254/latest'), /no upstream may have/)
  t.match(fault('http://127.0.0.1/', 'public'), /names a loopback address/)
  t.match(fault('http://[fd00:ec2::254]/', 'private'), /no upstream may have/)
})

/** A resolver that gives other addresses each time it is asked. */
function resolver (...answers: string[][]) {
  let asked = 0
  const lookup = (_name: string, _options: object, callback: (error: null, found: Array<{ address: string, family: number }>) => void) => {
    const found = answers[Math.min(asked++, answers.length - 1)]!.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
    setImmediate(() => callback(null, found))
  }
  return { lookup: lookup as unknown as Parameters<typeof guardedLookup>[1], asked: () => asked }
}

t.test('a name is asked for once, and only an address that was judged is connected to', async t => {
  const server = createServer(socket => socket.end()).listen(0, '127.0.0.1')
  t.teardown(() => { server.close() })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo

  const honest = resolver(['127.0.0.1'], ['169.254.169.254'])
  const socket = connect({ host: 'a.example', port, lookup: guardedLookup('loopback', honest.lookup) })
  await once(socket, 'connect')
  t.equal(honest.asked(), 1)
  t.equal(socket.remoteAddress, '127.0.0.1')
  socket.destroy()

  for (const [network, answers, message] of [
    ['public', ['127.0.0.1'], /leads to a loopback address, and its network is public; if that is meant, set "network": "loopback"/],
    ['public', ['10.0.0.1', '::1'], /leads to a private address/],
    ['public', ['169.254.169.254'], /an address that no upstream may have/],
    ['private', ['64:ff9b::7f00:1'], /leads to a loopback address/],
    ['loopback', ['8.8.8.8'], /leads to a public address/],
    ['public', [], /an address that no upstream may have/]
  ] as const) {
    const refused = connect({ host: 'a.example', port, lookup: guardedLookup(network, resolver([...answers]).lookup) })
    const [error] = await once(refused, 'error') as [Error]
    t.match(error.message, message)
    t.equal(error.name, 'AddressRefused')
  }

  const mixed = resolver(['10.0.0.1', '127.0.0.1', '169.254.169.254'])
  const chosen = connect({ host: 'a.example', port, lookup: guardedLookup('loopback', mixed.lookup) })
  await once(chosen, 'connect')
  t.equal(chosen.remoteAddress, '127.0.0.1', 'others among its addresses are left out')
  chosen.destroy()
})
