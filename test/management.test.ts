import t, { type Test } from 'tap'
import { buildManagement } from '../src/management.ts'
import { buildRuntime } from '../src/runtime.ts'
import { createMetrics } from '../src/telemetry/metrics.ts'
import { addKey, build, silent } from './support/app.ts'
import { exchange, listening, statusOf } from './support/raw.ts'

async function management (t: Test, env: Record<string, string> = {}) {
  const { app, config, store } = await build(t, { env })
  const runtime = await buildRuntime({ config, store, logger: silent })
  const managed = await buildManagement({ config, store, runtime, traffic: app.secureMcp.traffic, metrics: createMetrics(), logger: silent })
  t.teardown(() => Promise.all([managed.close(), runtime.close()]))
  return { app: managed, store }
}

t.test('metrics are given under names that nobody can rebind, and to no page', async t => {
  const { app } = await management(t, { MANAGEMENT_HOST: 'metrics.internal' })
  const ask = async (headers: Record<string, string>) => (await app.inject({ url: '/metrics', headers })).statusCode
  for (const host of ['localhost:9090', '127.0.0.1:9090', '[::1]:9090', 'localhost', 'localhost.:8888', '10.42.0.7:9090', '[fd00::7]:9090', 'metrics.internal:9090', 'METRICS.internal']) t.equal(await ask({ host }), 200, host)
  for (const host of ['evil.example', 'evil.example:9090', '127.0.0.1.evil.example:9090', 'localhost.evil.example', '10.42.0.7.nip.io', 'user@localhost']) t.equal(await ask({ host }), 403, host)
  for (const origin of ['http://evil.example', 'http://localhost:8080', 'null']) t.equal(await ask({ host: 'localhost:9090', origin }), 403, origin)
  const port = await listening(app)
  t.equal(statusOf(await exchange(t, port, 'GET /metrics HTTP/1.1\r\n\r\n')), 400, 'no Host')
  t.equal(statusOf(await exchange(t, port, 'GET http://evil.example/metrics HTTP/1.1\r\nHost: localhost:9090\r\nConnection: close\r\n\r\n')), 403)
})

t.test('everything else needs an operator key, and is found to be absent only with one', async t => {
  const { app, store } = await management(t)
  const [caller, operator] = [await addKey(store), await addKey(store, { role: 'operator' })]
  const ask = async (url: string, key?: string) => {
    const answer = await app.inject({ url, headers: { host: 'localhost:9090', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) } })
    t.equal(answer.headers['x-request-id'], answer.json().requestId)
    return `${answer.statusCode} ${String(answer.json().error)}`
  }
  for (const url of ['/api/nothing', '/nothing', '/', '/%zz']) {
    t.equal(await ask(url), '401 AUTHENTICATION_REQUIRED', url)
    t.equal(await ask(url, 'a-wrong-key-of-somebody'), '401 INVALID_CREDENTIAL', url)
    t.equal(await ask(url, caller.key), '403 FORBIDDEN', url)
    t.equal(await ask(url, operator.key), '404 NOT_FOUND', url)
  }
})
