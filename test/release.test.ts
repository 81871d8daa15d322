/** What is published says the same of itself everywhere. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parse } from 'yaml'
import { Settings } from '../src/settings/schema.ts'

interface Manifest {
  name: string
  version: string
  homepage: string
  bugs: string
  license: string
  mcpName: string
  repository: { url: string, directory?: string }
  engines: { node: string }
  exports: Record<string, { types: string, default: string } | string>
}

const root = join(import.meta.dirname, '..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const manifest = JSON.parse(read('package.json')) as Manifest

t.test('the version stands in package.json, and everything else that names it agrees', async t => {
  const create = JSON.parse(read('create/package.json')) as Manifest
  t.equal(create.version, manifest.version, 'create/package.json')
  const lock = JSON.parse(read('package-lock.json')) as { version: string }
  t.equal(lock.version, manifest.version, 'package-lock.json')
  const chart = parse(read('chart/Chart.yaml')) as { version: string, appVersion: string }
  t.strictSame([chart.version, chart.appVersion], [manifest.version, manifest.version], 'chart/Chart.yaml')
  const heading = /^## (.*)$/m.exec(read('CHANGELOG.md'))![1]!
  t.ok(heading === 'Unreleased' || heading.startsWith(manifest.version), 'the first heading of CHANGELOG.md')
})

t.test('everything says where it comes from, which provenance and the registry of MCP servers check', async t => {
  const [, owner, name] = /^git\+https:\/\/github\.com\/([a-z0-9-]+)\/([a-z0-9-]+)\.git$/.exec(manifest.repository.url)!
  t.equal(manifest.mcpName, `io.github.${owner}/${name}`)
  const create = JSON.parse(read('create/package.json')) as Manifest
  t.strictSame(create.repository, { ...manifest.repository, directory: 'create' })
  for (const { homepage, bugs, license, engines } of [manifest, create]) {
    t.strictSame({ homepage, bugs, license, engines }, {
      homepage: `https://github.com/${owner}/${name}#readme`, bugs: `https://github.com/${owner}/${name}/issues`, license: 'MIT', engines: manifest.engines
    })
  }
  t.match(read('chart/values.yaml'), `repository: ghcr.io/${owner}/${name}\n`)
  t.match(read('chart/Chart.yaml'), `home: https://github.com/${owner}/${name}\n`)
  t.match(read('docs/operations.md'), `oci://ghcr.io/${owner}/charts/${name} `)
})

t.test('what the package exports is in it, and declarations that no entry leads to are not', async t => {
  const entries = Object.values(manifest.exports)
  for (const entry of entries) {
    for (const path of typeof entry === 'string' ? [entry] : [entry.types, entry.default]) t.ok(read(path).length > 0, path)
  }
  t.ok(entries.includes('./package.json'))
  const declarations = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.d.ts'))
  const all = readdirSync(join(root, 'dist'), { recursive: true, encoding: 'utf8' }).filter(path => path.endsWith('.js'))
  t.ok(declarations.length > 0 && declarations.length < all.length / 2, `${declarations.length} of ${all.length}`)
})

t.test('comments are in the declarations, which editors show, and nowhere else', async t => {
  for (const path of ['dist/src/plugin.js', 'dist/src/cli/main.js', 'dist/plugins/auth.js']) t.notMatch(read(path), /^\s*(\/\/|\/\*)/m, path)
  t.ok(read('dist/src/cli/main.js').startsWith('#!/usr/bin/env node\n'), 'the command is a program')
  t.match(read('dist/src/tools/tool.d.ts'), '/** Thrown by a tool for what the model should read and can mend.')
})

interface Entry {
  name: string
  title: string
  description: string
  version: string
  repository: { url: string, source: string }
  packages: Array<{
    registryType: string
    identifier: string
    version?: string
    transport: { type: string }
    packageArguments: Array<{ type: string, value?: string }>
    environmentVariables: Array<{ name: string, description: string, isSecret: boolean }>
  }>
}

/** What schema 2025-12-11 and the checks of the registry ask for, where an entry such as ours could go wrong. */
t.test('the registry of MCP servers takes server.json', async t => {
  const entry = JSON.parse(read('server.json')) as Entry
  t.match(entry.name, /^[a-zA-Z0-9.-]+\/[a-zA-Z0-9._-]+$/)
  t.ok(entry.name.length >= 3 && entry.name.length <= 200, 'name')
  for (const text of [entry.title, entry.description]) t.ok(text.length >= 1 && text.length <= 100, text)
  t.match(entry.version, /^\d+\.\d+\.\d+$/, 'one version, no range')
  t.strictSame(Object.keys(entry).sort(), ['$schema', 'description', 'name', 'packages', 'repository', 'title', 'version'], 'no member that the schema does not know')
  t.strictSame(entry.repository, { url: `https://github.com/${entry.name.replace('io.github.', '')}`, source: 'github' })

  for (const { registryType, identifier, version, transport, packageArguments, environmentVariables } of entry.packages) {
    t.strictSame(transport, { type: 'stdio' }, registryType)
    // An image says its version in its reference, and the registry refuses one beside it.
    if (registryType === 'oci') t.strictSame([version, identifier.endsWith(`:${entry.version}`)], [undefined, true])
    else t.strictSame([registryType, version], ['npm', entry.version])
    for (const argument of packageArguments) t.ok(argument.type === 'positional' && argument.value, 'a positional argument has its value')
    for (const { name } of environmentVariables) t.ok(Object.hasOwn(Settings.properties, name), name)
  }
  t.strictSame(entry.packages.map(({ registryType }) => registryType), ['npm', 'oci'])
  t.match(read('Dockerfile'), `io.modelcontextprotocol.server.name="${entry.name}"`, 'the image says whose it is')
  t.equal(manifest.mcpName, entry.name, 'and so does the package')
})
