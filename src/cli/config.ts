import { readFileSync } from 'node:fs'
import { text as textOf } from 'node:stream/consumers'
import { UsageError } from '../errors.ts'
import { getValue, listValues, rewriteAll, rotateKey, setValue, type SecureConfig } from '../secrets/secure-config.ts'
import { parse, type Command } from './command.ts'
import { table } from './table.ts'

export const config: Command = {
  summary: 'Keep settings encrypted in a file.',
  help: `Usage: secure-mcp config <set|get|list|rotate-key> [options]

  set <name> [--file F]   reads the value from standard input, or from F
  get <name>
  list                    names and the keys they were encrypted with
  rotate-key [--rewrite]  a new key for everything; with --rewrite the first of
                          the keys that are there

  --json                  for scripts

The file is SECURE_CONFIG_FILE; its key CONFIG_ENCRYPTION_KEY, or the file
CONFIG_ENCRYPTION_KEY_FILE, which is made on first use.

Example:
  printf %s "$REDIS_URL" | secure-mcp config set redis_url`,

  async run ([verb, ...args], io) {
    const source: SecureConfig = {
      file: io.env.SECURE_CONFIG_FILE || 'config/secure_config.json',
      keys: io.env.CONFIG_ENCRYPTION_KEY,
      keyFile: io.env.CONFIG_ENCRYPTION_KEY_FILE || 'config/encryption.key'
    }
    const { values, positionals: [name, ...rest] } = parse(args, {
      file: { type: 'string' }, rewrite: { type: 'boolean', default: false }, json: { type: 'boolean', default: false }
    })
    if (rest.length > 0) throw new UsageError('A value is never an argument: other users see arguments. Pass it on standard input')

    switch (verb) {
      case 'set': {
        if (name === undefined) throw new UsageError('Name the setting: config set <name>, with the value on standard input')
        const value = (values.file === undefined ? await textOf(io.stdin) : fileText(values.file as string)).replace(/\r?\n$/, '')
        if (value === '') throw new UsageError('The value is empty: pass it on standard input')
        await setValue(source, name, value)
        if (values.json) io.out(JSON.stringify({ name: name.toLowerCase(), file: source.file }))
        else io.err(`${name} is kept in ${source.file}, encrypted.`)
        return 0
      }
      case 'get': {
        if (name === undefined) throw new UsageError('Name the setting: config get <name>')
        const value = getValue(source, name)
        if (value === undefined) throw new UsageError(`${source.file} holds no encrypted ${name.slice(0, 64)}. See: secure-mcp config list`)
        io.out(values.json ? JSON.stringify({ name, value }) : value)
        return 0
      }
      case 'list': {
        const found = listValues(source)
        if (values.json) io.out(JSON.stringify(found))
        else if (found.length === 0) io.err(`${source.file} holds no encrypted values.`)
        else io.out(table(['name', 'key'], found.map(({ name, keyId }) => [name, keyId])))
        return 0
      }
      case 'rotate-key': {
        const keyId = values.rewrite ? await rewriteAll(source) : await rotateKey(source)
        if (values.json) io.out(JSON.stringify({ keyId }))
        else io.err(`Everything in ${source.file} is encrypted with key ${keyId}.`)
        return 0
      }
      default:
        throw new UsageError('Say what to do: config set|get|list|rotate-key. See --help')
    }
  }
}

function fileText (path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${(error as Error).message}`)
  }
}
