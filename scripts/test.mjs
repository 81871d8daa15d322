// `npm test`: finds or fetches a Redis, hands its address to every test file, and runs them.
// Arguments are handed to tap: npm test -- test/core
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import './typescript.mjs'

const { startRedis } = await import('../test/support/redis.ts')

let redis
let url = process.env.TEST_REDIS_URL
if (!url) {
  try {
    redis = await startRedis()
    url = redis.url
  } catch (error) {
    process.stderr.write(error.message + '\n')
    process.exit(1)
  }
}

// Many files wait for servers of theirs more than they compute.
const jobs = `--jobs=${availableParallelism() + 1}`
const tap = spawn(process.execPath, ['node_modules/tap/dist/esm/run.mjs', jobs, ...process.argv.slice(2)], {
  stdio: 'inherit', env: { ...process.env, TEST_REDIS_URL: url }
})
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => tap.kill(signal))
const code = await new Promise(resolve => tap.once('exit', code => resolve(code ?? 1)))
await redis?.stop()
process.exit(code)
