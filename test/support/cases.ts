// How many cases a test of many takes: those that `npm test` has time for, or with TEST_CASES=all (nightly) those of the
// figures in docs/measurements.md. With one seed, the many say in each run what they said in the run before.
const { TEST_CASES } = process.env
if (TEST_CASES !== undefined && TEST_CASES !== 'all') throw new Error('TEST_CASES takes "all", or is left out')

export function cases (few: number, all: number): number {
  return TEST_CASES === 'all' ? all : few
}
