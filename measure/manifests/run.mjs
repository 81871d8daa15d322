// `npm run measure manifests`: runs the tests of k8s/ and writes what they looked at into docs/measurements.md.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { circumstances, markdownTable, writeSection } from '../report.ts'

const { stdout, status } = spawnSync(process.execPath, [join(import.meta.dirname, '../../scripts/test.mjs'), '--reporter=tap', 'test/k8s/manifests.test.ts'], { encoding: 'utf8', maxBuffer: 1 << 26 })
const seen = [...stdout.matchAll(/# (.+): (\d+) objects, (\d+) policies/g)]
const failed = stdout.match(/^ +not ok /gm)?.length ?? 0
const bites = /^ *ok \d+ - each policy finds what breaks it/m.test(stdout) && /^ *ok \d+ - the checks of types find/m.test(stdout)
if (seen.length === 0) throw new Error(`the tests did not run:\n${stdout.slice(-2000)}`)

writeSection('manifests', [
  '## Manifests', '', `${circumstances('npm run measure manifests')}. Rendered by kustomize, checked by the types of the API (validators and compiler) and by the policies of test/k8s/policies.ts. No cluster was asked.`, '',
  markdownTable(['overlay', 'objects', 'policies that concern it'], seen.map(([, ...cells]) => cells)), '',
  `Findings: ${failed}. Broken on purpose, once for each policy and three times for the types, every one was found: ${bites ? 'yes' : 'NO'}.`
].join('\n'))
process.exitCode = status ?? 1
