// Lets a Node that cannot run TypeScript by itself (before 22.18) do so: import it before the first .ts file.
// Types are checked by `npm run check`; here they are taken out.
import { readFile } from 'node:fs/promises'
import { register } from 'node:module'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

if (isMainThread && !process.features.typescript) register(import.meta.url)

/** The hook of node:module: see https://nodejs.org/docs/latest-v20.x/api/module.html#loadurl-context-nextload */
export async function load (url, context, nextLoad) {
  if (!url.startsWith('file:') || !url.endsWith('.ts')) return await nextLoad(url, context)
  const { default: ts } = await import('typescript')
  const fileName = fileURLToPath(url)
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true, inlineSourceMap: true }
  const { outputText: source } = ts.transpileModule(await readFile(fileName, 'utf8'), { fileName, compilerOptions })
  return { format: 'module', shortCircuit: true, source }
}
