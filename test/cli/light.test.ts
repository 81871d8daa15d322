/** A command runs beside a server in its container: it loads what it needs and nothing else. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { folder } from '../support/app.ts'
import { MAIN } from '../support/processes.ts'

const HOOKS = `
import { writeSync } from 'node:fs'
export async function load (url, context, next) {
  const found = /node_modules\\/((?:@[^/]+\\/)?[^/]+)/.exec(url)
  if (found) writeSync(2, 'loads ' + found[1] + '\\n')
  return next(url, context)
}`

t.test('commands load neither the framework nor the protocol, a validator or a log', t => {
  const cwd = folder(t)
  const hooks = `data:text/javascript,${encodeURIComponent(`import { register } from 'node:module'; register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(HOOKS)}))`)}`
  const packages = (args: string, env: Record<string, string> = {}) => {
    const { stderr, status } = spawnSync(process.execPath, ['--import', hooks, MAIN, ...args.split(' ')], { cwd, encoding: 'utf8', env: { PATH: process.env.PATH, ...env } })
    t.ok(status === 0 || status === 1, `${args}: ${stderr}`)
    return [...new Set([...stderr.matchAll(/^loads (.*)$/gm)].map(([, name]) => name))].sort()
  }
  for (const args of ['--help', '--version', 'keys --help', 'serve --help', 'stdio --help', 'tools --help', 'why --help', 'status --help', 'doctor --help', 'keys list', 'keys create ada', 'keys revoke ada', 'ip list', 'tokens list', 'state show', 'config list']) {
    t.same(packages(args), [], args)
  }
  // The client of Redis where there is a Redis, and nothing else.
  t.same(packages('--help', { REDIS_URL: 'redis://127.0.0.1:1' }), [])
  const withRedis = packages('state show', { REDIS_URL: 'redis://127.0.0.1:1', STATE_SECRET: 'a-state-secret-of-this-test-0123456789abcdef' })
  t.ok(withRedis.includes('ioredis'))
  t.same(withRedis.filter(name => /fastify|modelcontextprotocol|pino|typebox|re2js/.test(name!)), [])
  // The hook sees what there is to see.
  writeFileSync(join(cwd, 'tools.txt'), '')
  t.ok(packages('tools list').includes('typebox'))
  t.end()
})
