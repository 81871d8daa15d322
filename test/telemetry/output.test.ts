import { execFileSync } from 'node:child_process'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { output } from '../../src/telemetry/output.ts'
import { folder } from '../support/app.ts'
import { startServer } from '../support/processes.ts'

/** A pipe with nobody at its other end but the test, which reads when it likes. */
function pipe (t: Test): { fd: number, read: () => string } {
  const path = join(folder(t), 'pipe')
  execFileSync('mkfifo', [path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  t.teardown(() => closeSync(fd))
  return {
    fd,
    read () {
      const buffer = Buffer.alloc(1_000_000)
      return buffer.toString('utf8', 0, readSync(fd, buffer))
    }
  }
}

t.test('lines come out whole and in order, the last ones at the end', async t => {
  const { fd, read } = pipe(t)
  const out = output(fd, () => {})
  const lines = Array.from({ length: 500 }, (_, i) => `line ${i} é\n`)
  for (const line of lines) out.write(line)
  await out.end(1000)
  out.write('too late\n')
  await out.end(1000)
  t.equal(read(), lines.join(''))
})

t.test('a reader that is stuck costs lines, which are counted, and never time', async t => {
  const { fd, read } = pipe(t)
  let lost = 0
  const out = output(fd, lines => { lost += lines }, 40_000)
  const line = 'x'.repeat(999) + '\n'
  for (let i = 0; i < 400; i++) {
    out.write(line)
    if (i % 4 === 0) await new Promise(resolve => setTimeout(resolve, 2))
  }
  let got = 0
  while (got / 1000 + lost < 400) {
    await new Promise(resolve => setTimeout(resolve, 20))
    try { got += read().length } catch { /* nothing there yet */ }
  }
  t.equal(got / 1000 + lost, 400, 'what was not read was counted')
  t.ok(lost > 50)

  for (let i = 0; i < 400; i++) out.write(line)
  await new Promise(resolve => setTimeout(resolve, 20))
  const began = performance.now()
  await out.end(100)
  t.ok(performance.now() - began < 30_000, 'an end waits for nobody who does not read')
  out.endNow()
})

t.test('where nothing can be waited for, what the reader takes at once comes out', async t => {
  const { fd, read } = pipe(t)
  const out = output(fd, () => {})
  out.write('the last words\n')
  out.endNow()
  t.equal(read(), 'the last words\n')
})

t.test('a server whose log nobody reads any more serves, drains and ends as ever', async t => {
  const key = 'sk-of-a-server-without-a-reader-0123456789'
  const { child, url } = await startServer(t, { cwd: folder(t), env: { MCP_API_KEY: key, DRAIN_MS: '1500' } })
  child.stdout!.destroy()
  child.stderr!.destroy()
  const call = async () => await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream', 'x-api-key': key },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'echo', arguments: { text: 'x' } } })
  })
  for (let i = 0; i < 50; i++) t.equal((await call()).status, 200)

  const ended = new Promise(resolve => child.once('exit', (code, signal) => resolve(code ?? signal)))
  child.kill('SIGTERM')
  const ready = async () => (await fetch(new URL('/readyz', url))).status
  while (await ready() === 200);
  const draining = await call()
  t.equal(draining.status, 200, 'still served, for load balancers that do not know yet')
  t.equal(draining.headers.get('connection'), 'close')
  t.equal(await ended, 0)
})
