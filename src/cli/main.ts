#!/usr/bin/env node
/** The command line: finds the command, prints what it says, ends with its code. */
import { UsageError } from '../errors.ts'
import type { Command, Io } from './command.ts'

const COMMANDS: Record<string, () => Promise<Command>> = {
  serve: async () => (await import('./serve.ts')).serve,
  stdio: async () => (await import('./stdio.ts')).stdio,
  keys: async () => (await import('./keys.ts')).keys,
  config: async () => (await import('./config.ts')).config,
  ip: async () => (await import('./ip.ts')).ip,
  tokens: async () => (await import('./tokens.ts')).tokens,
  tools: async () => (await import('./tools.ts')).tools,
  state: async () => (await import('./state.ts')).state
}

const io: Io = {
  stdin: process.stdin,
  out: line => { process.stdout.write(line + '\n') },
  err: line => { process.stderr.write(line + '\n') },
  env: process.env
}

const [name = 'serve', ...args] = process.argv.slice(2)
process.exitCode = await main(name, args)

async function main (name: string, args: string[]): Promise<number> {
  try {
    if (name === '--help' || name === '-h' || name === 'help') return await overview()
    const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (load === undefined) throw new UsageError(`There is no command "${name.slice(0, 64)}". See: secure-mcp --help`)
    const command = await load()
    if (args.includes('--help') || args.includes('-h')) {
      io.out(command.help)
      return 0
    }
    return await command.run(args, io)
  } catch (error) {
    if (error instanceof UsageError) {
      io.err(error.message)
      return 2
    }
    io.err(`secure-mcp ${name}: ${(error as Error).message}`)
    return 1
  }
}

async function overview (): Promise<number> {
  io.out('Usage: secure-mcp <command> [options]\n')
  for (const [name, load] of Object.entries(COMMANDS)) io.out(`  ${name.padEnd(8)} ${(await load()).summary}`)
  io.out('\nEach has --help with an example.')
  return 0
}
