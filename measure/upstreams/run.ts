/**
 * `npm run measure upstreams [-- <part>] [-- --record]`: what is claimed of servers behind this one, part by part. Without a part: `registry`.
 * Ends with 1 if a claim does not hold.
 */
import { parseArgs } from 'node:util'

/** Each runs when it is imported. */
const PARTS: Readonly<Record<string, () => Promise<unknown>>> = {
  registry: () => import('./registry.ts'),
  oracle: () => import('./oracle-run.ts'),
  kills: () => import('./kills.ts'),
  trouble: () => import('./trouble.ts'),
  drift: () => import('./drift.ts')
}

const { positionals: [part = 'registry'] } = parseArgs({ allowPositionals: true, strict: false })
const run = Object.hasOwn(PARTS, part) ? PARTS[part] : undefined
if (run === undefined) {
  process.stderr.write(`There is no part "${part}". Parts: ${Object.keys(PARTS).join(', ')}\n`)
  process.exit(2)
}
await run()
