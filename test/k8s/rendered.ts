/** What an overlay renders to, and what the API's own types say of it. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import ts from 'typescript'
import { parseAllDocuments } from 'yaml'
import { render } from '../support/kustomize.ts'

// Untyped on purpose: what is right of it is what these tests find out.
export type Manifest = Record<string, any>

const PROJECT = resolve(import.meta.dirname, '../..')
const WORK = join(PROJECT, '.cache', 'k8s')

/** What every overlay shares. */
export function base (): Manifest[] {
  return objectsOf(render(join(PROJECT, 'k8s/base')))
}

export function overlay (name: string): Manifest[] {
  return objectsOf(render(join(PROJECT, 'k8s/overlays', name)))
}

/** An overlay with components that its kustomization offers in comments, as if someone had taken the # away, and without others. */
export function overlayWith (name: string, components: readonly string[], without: readonly string[] = []): Manifest[] {
  const tree = join(WORK, 'tree')
  rmSync(tree, { recursive: true, force: true })
  cpSync(join(PROJECT, 'k8s'), tree, { recursive: true })
  const file = join(tree, 'overlays', name, 'kustomization.yaml')
  const change = (text: string, from: string, to: string) => {
    if (!text.includes(from)) throw new Error(`${name} has no line "${from}"`)
    return text.replace(from, to)
  }
  let text = readFileSync(file, 'utf8')
  for (const component of components) text = change(text, `# - ../../components/${component} `, `- ../../components/${component} # `)
  for (const component of without) text = change(text, `  - ../../components/${component}\n`, '')
  writeFileSync(file, text)
  return objectsOf(render(join(tree, 'overlays', name)))
}

function objectsOf (yaml: string): Manifest[] {
  return parseAllDocuments(yaml).map(document => document.toJS() as Manifest)
}

/** The module that holds a kind: `apps/v1` and `Deployment` are `kubernetes-models/apps/v1/Deployment`. */
const moduleOf = ({ apiVersion, kind }: Manifest) => `${apiVersion.startsWith('gateway.') ? '@kubernetes-models/gateway-api' : 'kubernetes-models'}/${apiVersion}/${kind}`

/** Wrong types and missing fields, by the validators that are made from the API's OpenAPI description. */
export async function schemaFindings (objects: readonly Manifest[]): Promise<string[]> {
  const findings: string[] = []
  for (const object of objects) {
    const { [object.kind]: Model } = await import(moduleOf(object)) as Record<string, new (data: Manifest) => { validate (): void }>
    try {
      new Model!(object).validate()
    } catch (error) {
      findings.push(`${object.kind}/${object.metadata.name}: ${(error as Error).message}`)
    }
  }
  return findings
}

/** Unknown fields, which those validators let pass: each object is a literal of the API's TypeScript type, and compiled. */
export function typeFindings (name: string, objects: readonly Manifest[]): string[] {
  mkdirSync(WORK, { recursive: true })
  const file = join(WORK, `${name}.ts`)
  writeFileSync(file, objects.map((object, i) =>
    `import type { I${object.kind} as T${i} } from '${moduleOf(object)}'\nexport const o${i}: T${i} = ${JSON.stringify(object, null, 1)}\n`).join(''))
  const program = ts.createProgram([file], {
    strict: true, noEmit: true, skipLibCheck: true, target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler, types: []
  })
  return ts.getPreEmitDiagnostics(program).map(({ messageText, file: source, start }) => {
    const line = source === undefined || start === undefined ? '' : source.text.slice(start, source.text.indexOf('\n', start))
    return `${ts.flattenDiagnosticMessageText(messageText, ' ')} ${line}`
  })
}
