#!/usr/bin/env node
// `npm create secure-mcp-server@latest <folder>`: writes the template, leaves what exists as it is, installs. Node's own modules only.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { argv, execPath, exit, features, platform, stderr, stdout, version as node } from 'node:process'

const USAGE = `Usage: npm create secure-mcp-server@latest <folder>

Makes an MCP server in the folder: a tool, its test, a Dockerfile, a client
configuration. Files that exist are left as they are; "." is this folder.
`
const TEMPLATE = join(import.meta.dirname, 'template')
const { version } = JSON.parse(readFileSync(join(import.meta.dirname, 'package.json'), 'utf8'))
/** Since 22.18 Node runs TypeScript by itself. */
const TYPESCRIPT = Boolean(features.typescript)

const args = argv.slice(2)
if (args.includes('--help') || args.includes('-h')) {
  stdout.write(USAGE)
  exit(0)
}
if (args.length !== 1 || args[0].startsWith('-')) {
  stderr.write(USAGE)
  exit(2)
}

try {
  create(resolve(args[0]))
} catch (error) {
  stderr.write(`${args[0]}: ${error.message}\n`)
  exit(1)
}

/** @param folder where to, absolute */
function create (folder) {
  if (existsSync(folder) && !statSync(folder).isDirectory()) throw new Error('this is a file; name a folder')
  const isNew = !existsSync(join(folder, 'package.json'))
  const files = { ...fromTemplate(nameOf(folder)), 'package.json': JSON.stringify(manifest(nameOf(folder)), null, 2) + '\n' }
  for (const [path, text] of Object.entries(files)) {
    stdout.write(`${write(join(folder, path), text) ? 'wrote ' : 'exists'}  ${path}\n`)
  }
  if (!TYPESCRIPT) stdout.write(`\nNode ${node} runs no TypeScript (22.18 does), so the tool and its test are .js files.\n`)

  const here = relative('', folder)
  if (!isNew) {
    const wanted = Object.entries(manifest('').dependencies).map(([name, range]) => `"${name}@${range}"`)
    stdout.write(`\npackage.json was there and is as it was. Add what the tool needs, then start:\n\n  npm install ${wanted.join(' ')}\n  npx secure-mcp-server dev\n`)
    return
  }
  stdout.write('\nInstalling …\n')
  if (!install(folder)) throw new Error('the files are written, but "npm install" failed; run it there again')
  stdout.write(`
Next:
${here === '' ? '' : `\n  cd ${here}`}
  npm start        serve, and print a key and a line to try
  npm run dev      the same, and load tools again when you save them
  npm test         call the tool in a test
`)
}

/** @returns whether the file was written; one that exists is left alone */
function write (path, text) {
  mkdirSync(dirname(path), { recursive: true })
  try {
    writeFileSync(path, text, { flag: 'wx' })
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    return false
  }
}

/** The files of the template, by path. A name that begins with `_` begins with a dot: npm packs no .gitignore. */
function fromTemplate (name) {
  const files = {}
  for (const entry of readdirSync(TEMPLATE, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())) {
    const source = join(entry.parentPath ?? entry.path, entry.name)
    const path = relative(TEMPLATE, source).replaceAll('\\', '/').replace(/^_/, '.')
    files[asWritten(path)] = asWritten(readFileSync(source, 'utf8')).replaceAll('{{name}}', name)
  }
  return files
}

/** With names of files that this Node runs. The template holds no types that JavaScript has not, so the text stays. */
function asWritten (text) {
  return TYPESCRIPT ? text : text.replaceAll(/(get_order(?:\.test)?)\.ts\b/g, '$1.js')
}

function manifest (name) {
  return {
    name,
    version: '0.1.0',
    private: true,
    type: 'module',
    engines: { node: TYPESCRIPT ? '>=22.18' : '>=20.19' },
    scripts: {
      dev: 'secure-mcp-server dev',
      start: 'secure-mcp-server serve',
      test: 'node --test',
      check: 'tsc'
    },
    dependencies: { 'secure-mcp-server': `^${version}`, zod: '^4.2.0' },
    devDependencies: { '@types/node': TYPESCRIPT ? '^22.18.0' : '^20.19.0', typescript: '^6.0.0' }
  }
}

/** What npm takes as the name of a package. */
function nameOf (folder) {
  return basename(folder).toLowerCase().replaceAll(/[^a-z0-9._-]+/g, '-').replace(/^[._-]+/, '').slice(0, 214) || 'mcp-server'
}

/** npm, as whoever started this found it. */
function install (cwd) {
  const npm = process.env.npm_execpath
  const { status } = npm?.endsWith('.js')
    ? spawnSync(execPath, [npm, 'install'], { cwd, stdio: 'inherit' })
    : spawnSync('npm', ['install'], { cwd, stdio: 'inherit', shell: platform === 'win32' })
  return status === 0
}
