/** `npm run measure upstreams -- oracle [--answers 20000]`: generated answers, given to the lane and to the SDK's client. */
import { parseArgs } from 'node:util'
import { compareAnswers } from './oracle.ts'

const { values: { answers } } = parseArgs({ allowPositionals: true, options: { answers: { type: 'string', default: '20000' } } })
const { unexplained, ...counts } = await compareAnswers(Math.ceil(Number(answers) / 2))
console.log(`${counts.compared} answers: ${counts.same} the same, ${counts.kept} with members that the SDK drops, ${counts.refused} refused by both, ${counts.lenient} refused by the SDK alone, ${counts.bounded} by a bound of ours; ${unexplained.length} unexplained`)
for (const one of unexplained.slice(0, 20)) console.error(`UNEXPLAINED ${one}`)
process.exit(unexplained.length === 0 ? 0 : 1)
