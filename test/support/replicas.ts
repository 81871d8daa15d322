/** Several apps that share a Redis, behind a proxy that hands each request to the next of them. */
import { randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import { keyProxy } from './proxy.ts'
import { freePort } from './redis.ts'
import type { AppOptions } from '../../src/app.ts'
import type { Definition } from '../../src/tools/index.ts'
import { build, redisUrl, type Built } from './app.ts'

export interface Replicas {
  built: Built[]
  /** The endpoint of each. */
  urls: string[]
  store: Built['store']
  /** Every replica in turn, with this key added. */
  endpoint (key: string): Promise<URL>
}

export async function replicas (t: Test, { count = 2, env = {}, tools = [], upstreams }: { count?: number, env?: Record<string, string> | Array<Record<string, string>>, tools?: readonly Definition[], upstreams?: AppOptions['upstreams'] } = {}): Promise<Replicas> {
  const shared = { REDIS_URL: redisUrl, REDIS_KEY_PREFIX: `test:${randomBytes(6).toString('hex')}:`, STATE_SECRET: randomBytes(32).toString('base64url') }
  const built: Built[] = []
  const urls: string[] = []
  for (let i = 0; i < count; i++) {
    const port = await freePort()
    const one = await build(t, { tools, ...(upstreams === undefined ? {} : { upstreams }), env: { PUBLIC_URL: `http://127.0.0.1:${port}`, RATE_LIMIT_API_KEY: '100000', ...shared, ...(Array.isArray(env) ? env[i] : env) } })
    await one.app.listen({ host: '127.0.0.1', port })
    built.push(one)
    urls.push(`http://127.0.0.1:${port}/mcp`)
  }
  return {
    built,
    urls,
    store: built[0]!.store,
    async endpoint (key) {
      const proxy = await keyProxy({ upstreams: urls, key })
      t.teardown(() => proxy.close())
      return new URL(`${proxy.url}/mcp`)
    }
  }
}
