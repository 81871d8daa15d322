import t from 'tap'
import { rateLimited, waitOf } from '../../src/core/limit.ts'
import { addKey, build, modern } from '../support/app.ts'

t.test('nobody is told to wait for longer than the window', async t => {
  t.equal(waitOf({ retryAfterMs: 60_999, windowMs: 60_000 }), 60_000)
  t.equal(waitOf({ retryAfterMs: 1, windowMs: 60_000 }), 1)
  const { data, headers } = rateLimited({ retryAfterMs: 60_999, windowMs: 60_000 })
  t.match({ data, headers }, { data: { retryAfterMs: 60_000 }, headers: { 'retry-after': '60' } })
  for (const windowMs of [1000, 2000, 60_000]) {
    const { app, store } = await build(t, { env: { RATE_LIMIT_WINDOW_MS: String(windowMs) } })
    const { key } = await addKey(store, { limit: 1 })
    for (let i = 0; i < 3; i++) {
      const { headers, statusCode, body } = await modern(app, 'tools/list', {}, { key })
      const told = [Number(/t=(\d+)/.exec(String(headers.ratelimit))![1]), Number(headers['x-ratelimit-reset']), Number(headers['retry-after'] ?? 0)]
      for (const seconds of told) t.ok(seconds <= windowMs / 1000, `${seconds} s of ${windowMs} ms`)
      if (statusCode === 429) t.ok(JSON.parse(body).error.data.retryAfterMs <= windowMs)
    }
  }
})
