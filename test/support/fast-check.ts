// fast-check with a seed that is the same in every run: a change is judged by its own merit, not by the luck of a draw.
// `TEST_SEED=random` draws a new one (nightly does), `TEST_SEED=<number>` repeats one that fast-check printed.
// docs/decisions/0122-seeds-of-property-tests.md says why.
import fc from 'fast-check'

const { TEST_SEED = '20251125' } = process.env
if (TEST_SEED !== 'random') {
  const seed = Number(TEST_SEED)
  if (!Number.isSafeInteger(seed)) throw new Error('TEST_SEED takes a whole number, or "random"')
  fc.configureGlobal({ seed })
}

export default fc
