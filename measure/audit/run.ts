/**
 * `npm run measure audit -- <part>`: what is claimed of the record of decisions, part by part. Ends with 1 if a claim does not hold.
 */
import { parseArgs } from 'node:util'

/** Each runs when it is imported. */
const PARTS: Readonly<Record<string, () => Promise<unknown>>> = {
  kills: () => import('./kills.ts'),
  cost: () => import('./cost.mjs' as string),
  trouble: () => import('./trouble.ts'),
  edits: () => import('./edits.ts')
}

const { positionals: [part = ''] } = parseArgs({ allowPositionals: true, strict: false })
const run = Object.hasOwn(PARTS, part) ? PARTS[part] : undefined
if (run === undefined) {
  process.stderr.write(`Name a part: ${Object.keys(PARTS).join(', ')}\n`)
  process.exit(2)
}
await run()
