// Lets a Node that cannot run TypeScript by itself (before 22.18) do so: import it before the first .ts file.
// Types are checked by `npm run check`; here they are taken out, once for each content of a file: the compiler takes
// longer to load than most programs take to run, so what it made is kept in .cache/typescript.
import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { createRequire, register } from 'node:module'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isMainThread } from 'node:worker_threads'

if (isMainThread && !process.features.typescript) register(import.meta.url)

const CACHE = join(import.meta.dirname, '../.cache/typescript')
const { version } = createRequire(import.meta.url)('typescript/package.json')

/** The hook of node:module: see https://nodejs.org/docs/latest-v20.x/api/module.html#loadurl-context-nextload */
export async function load (url, context, nextLoad) {
  if (!url.startsWith('file:') || !/\.m?ts$/.test(new URL(url).pathname)) return await nextLoad(url, context)
  return { format: 'module', shortCircuit: true, source: await javascript(fileURLToPath(url)) }
}

async function javascript (file) {
  const source = await readFile(file, 'utf8')
  // The name is in the source map.
  const digest = createHash('sha256').update(`${version}\n${basename(file)}\n${source}`).digest('hex')
  const kept = join(CACHE, `${digest}.js`)
  try {
    return await readFile(kept, 'utf8')
  } catch {
    const made = await transpile(file, source)
    await keep(kept, made).catch(() => {}) // a folder that cannot be written costs time alone
    return made
  }
}

async function transpile (fileName, source) {
  const { default: ts } = await import('typescript')
  const compilerOptions = {
    module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2023, verbatimModuleSyntax: true, inlineSourceMap: true
  }
  return ts.transpileModule(source, { fileName, compilerOptions }).outputText
}

/** Whole or not at all: others read it at the same time. */
async function keep (path, text) {
  await mkdir(CACHE, { recursive: true })
  const own = `${path}.${process.pid}`
  await writeFile(own, text)
  await rename(own, path)
}
