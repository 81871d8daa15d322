import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Wait until a claim holds. The bound is for a machine that is busy with ten other things, not for what is claimed:
 * how soon something happens is measured by `npm run measure`.
 *
 * @returns true, so that it can be a test's claim itself
 * @throws {Error} with the claim, if it does not hold within 30 s
 */
export async function until (claim: () => unknown, withinMs = 30_000): Promise<true> {
  const end = performance.now() + withinMs
  while (!await claim()) {
    if (performance.now() > end) throw new Error(`not so within ${withinMs} ms: ${claim.toString()}`)
    await sleep(20)
  }
  return true
}
